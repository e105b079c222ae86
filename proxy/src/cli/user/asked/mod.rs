//! Lists of users that are asked for, instead of read from a file.

mod mailstore;

use super::formats::{Left, push, skip};
use crate::cli::time::time;
use clap::Args;
use futures_util::{StreamExt, TryStreamExt, stream};
use std::path::PathBuf;
use std::time::Duration;
use usher_backends::directory::Placement;
use usher_backends::sources::{Inquirer, SourceFault, rows};
use usher_config::Snapshot;
use usher_config::snapshot::{At, Http, HttpStyle, Source, SourceAccess};
use usher_wire::printable::printable;

/// Questions to a service at a time.
const AT_ONCE: usize = 16;
/// Longest time for one answer of a service, and for connecting to a database.
const TIME: Duration = Duration::from_secs(10);
/// Names of columns with the user, and with the host, in the order in which they count.
const USER_COLUMNS: [&str; 5] = ["user", "username", "login", "email", "address"];
const HOST_COLUMNS: [&str; 4] = ["host", "servername", "server", "mailhost"];

/// Who is asked.
#[derive(Debug, Clone, Copy)]
pub(super) enum Asked {
    Postgres,
    AuthHttp,
    Mailstore,
}

/// How they are asked.
#[derive(Args)]
pub(super) struct Access {
    /// With `mailstore`: the administrator's name.
    #[arg(long, value_name = "NAME", default_value = "admin")]
    pub(super) user: String,
    /// The file with the password; with `auth-http`, with the value of the header.
    #[arg(long, value_name = "FILE")]
    pub(super) password_file: Option<PathBuf>,
    /// The certificate of whoever is asked, or of whoever has signed it; by default whom the system trusts.
    #[arg(long, value_name = "FILE")]
    pub(super) ca: Option<PathBuf>,
    /// With `postgres`: what is asked, with columns such as user and host: SELECT "user", servername FROM popmap.
    #[arg(long, value_name = "SQL")]
    query: Option<String>,
    /// With `postgres`: how long the database may take for its first row, and between two.
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = time)]
    patience: Duration,
    /// With `auth-http`: the file with the users that are asked about, one in each line.
    #[arg(long, value_name = "FILE")]
    users: Option<PathBuf>,
    /// With `auth-http`: the header that the service wants a secret in.
    #[arg(long, value_name = "NAME", requires = "password_file")]
    secret_header: Option<String>,
}

/// What was said.
#[derive(Default)]
pub(super) struct List {
    /// In [`Format::Pairs`](super::formats::Format::Pairs).
    pub(super) lines: Vec<u8>,
    pub(super) left: Left,
}

/// Asks whoever is at `url`.
///
/// # Errors
/// What is told to the operator, without secrets.
pub(super) async fn ask(
    whom: Asked,
    url: &str,
    access: &Access,
    snapshot: &Snapshot,
) -> Result<List, String> {
    match whom {
        Asked::Postgres => database(url, access).await,
        Asked::AuthHttp => service(url, access, snapshot).await,
        Asked::Mailstore => tenants(url, access, snapshot).await,
    }
}

impl Access {
    fn to(&self, url: &str) -> SourceAccess {
        let (ca, password_file) = (self.ca.clone(), self.password_file.clone());
        SourceAccess { urls: vec![url.to_owned()], ca, password_file, at: At::default() }
    }
}

async fn database(url: &str, access: &Access) -> Result<List, String> {
    let query =
        access.query.as_ref().ok_or("--query is missing, such as 'SELECT \"user\", host FROM proxy'")?;
    let mut list = List::default();
    let take = |row: Vec<(&str, &str)>| {
        let of = |columns: &[&str]| {
            columns.iter().find_map(|column| row.iter().find(|(name, _)| name.eq_ignore_ascii_case(column)))
        };
        let (user, host) = (of(&USER_COLUMNS), of(&HOST_COLUMNS));
        let value =
            |pair: Option<&(&str, &str)>| pair.map_or(String::new(), |(_, value)| (*value).to_owned());
        push(&mut list.lines, &value(user), &value(host));
        for pair in &row {
            if Some(pair) != user && Some(pair) != host {
                list.left.note(&pair.0.to_ascii_lowercase());
            }
        }
    };
    rows(&access.to(url), query, TIME, access.patience, take).await.map_err(|fault| fault.to_string())?;
    Ok(list)
}

async fn service(url: &str, access: &Access, snapshot: &Snapshot) -> Result<List, String> {
    if !["http://", "https://"].iter().any(|scheme| url.starts_with(scheme)) {
        return Err("the address of the service begins with http:// or https://".to_owned());
    }
    let file = access.users.as_ref().ok_or("--users is missing: the file with the users to ask about")?;
    let users = std::fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
    let style = HttpStyle::AuthHttp { send_password: false };
    let http = Http { access: access.to(url), style, secret_header: access.secret_header.clone() };
    let inquirer = Inquirer::new(&Source::Http(http), TIME).map_err(|fault| fault.to_string())?;
    let said = users.lines().map(|line| async {
        let key = snapshot.domains.written(line.trim());
        match key.filter(|_| !line.trim().is_empty()) {
            Some(key) => inquirer.ask(key).await.map(Some).or_else(|fault| match fault {
                SourceFault::Answer(why) => {
                    eprintln!("{}", printable(&why));
                    Ok(Some(None))
                }
                other => Err(format!("{url}: {other}")),
            }),
            None => Ok(None),
        }
    });
    let said: Vec<_> = stream::iter(said).buffered(AT_ONCE).try_collect().await?;
    let mut list = List::default();
    for (line, said) in users.lines().zip(said) {
        match said.flatten() {
            Some(Placement { host, port, login, .. }) => {
                push(&mut list.lines, line.trim(), &host);
                port.iter().for_each(|_| list.left.note("Auth-Port"));
                login.iter().for_each(|_| list.left.note("Auth-User"));
            }
            // Faults are told with the lines of the file.
            None if line.trim().is_empty() => skip(&mut list.lines),
            None => push(&mut list.lines, line.trim(), ""),
        }
    }
    Ok(list)
}

/// The tenants of MailStore Service Provider Edition; says which of its hosts are not here yet.
async fn tenants(url: &str, access: &Access, snapshot: &Snapshot) -> Result<List, String> {
    let known = mailstore::ask(url, access).await?;
    for (host, port, thumbprint) in &known.hosts {
        if !snapshot.hosts.iter().any(|ours| ours.name == *host) {
            let (host, thumbprint) = (printable(host), printable(thumbprint));
            eprintln!(
                "{host} is not an instance host here; its thumbprint there is {thumbprint}: usher pair {host}:{port}"
            );
        }
    }
    let mut list = List::default();
    known.tenants.iter().for_each(|(tenant, host)| push(&mut list.lines, tenant, host));
    Ok(list)
}
