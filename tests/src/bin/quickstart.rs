//! `make run`: usher in front of three sample archive servers, with sample users, on unprivileged ports.

use std::error::Error;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::signal::unix::{SignalKind, signal};
use usher_tests::archive::{Archive, Options, Tls};
use usher_tests::certificate::Certificate;
use usher_tests::web::Web;

const IMAP: &str = "127.0.0.1:1143";
const IMAPS: &str = "127.0.0.1:1993";
const HTTPS: &str = "127.0.0.1:1443";
/// The admin API over TCP, and the console.
const API: &str = "127.0.0.1:9143";
/// The console's token, which opens nothing but this example.
const TOKEN: &str = "quickstart-operator";

/// The sample client access server, which serves web requests that name nobody.
const DOOR: &str = "127.0.0.1:14440";

/// Host, its address, its TLS, and its users; its web service is at a port of 1000 more.
const HOSTS: [(&str, &str, Tls, &str, [&str; 2]); 3] = [
    ("ih1.example.com", "127.0.0.1:14301", Tls::Implicit, "implicit", ["anna", "arne"]),
    ("ih2.example.com", "127.0.0.1:14302", Tls::StartTls, "starttls", ["ben", "berta"]),
    ("ih3.example.com", "127.0.0.1:14303", Tls::None, "none", ["carla", "cem"]),
];

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run().await {
        Ok(code) => code,
        Err(error) => {
            eprintln!("quickstart: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<ExitCode, Box<dyn Error>> {
    let here = std::env::current_exe()?;
    let usher = here.with_file_name("usher");
    let target = here.parent().and_then(Path::parent).ok_or("the program is in no target directory")?;
    let dir = target.join("quickstart");
    let _ = std::fs::remove_dir_all(&dir);
    std::fs::create_dir_all(&dir)?;
    let config = dir.join("usher.toml");
    let (text, _webs) = start_archives(&dir).await?;
    std::fs::write(&config, text)?;

    let users = dir.join("users.csv");
    let lines =
        HOSTS.iter().flat_map(|(host, .., names)| names.map(|name| format!("{name}@example.com,{host}\n")));
    std::fs::write(&users, format!("user,host\n{}", lines.collect::<String>()))?;
    let import =
        Command::new(&usher).args(["user", "--config"]).arg(&config).arg("import").arg(&users).status();
    let import = import.map_err(|error| format!("{}: {error}", usher.display()))?;
    if !import.success() {
        return Err("the sample users could not be imported".into());
    }
    let mut child = tokio::process::Command::new(&usher)
        .args(["serve", "--config"])
        .arg(&config)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .spawn()?;
    tokio::select! {
        status = child.wait() => Ok(ExitCode::from(u8::try_from(status?.code().unwrap_or(1)).unwrap_or(1))),
        () = serving() => {
            print!("{}", what_to_try(&usher, &config));
            let mut terminate = signal(SignalKind::terminate())?;
            tokio::select! {
                status = child.wait() => drop(status?),
                // usher goes with this process, whoever of the two was told to stop.
                _ = terminate.recv() => child.kill().await?,
                _ = tokio::signal::ctrl_c() => child.kill().await?,
            }
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// Starts the sample servers; returns the configuration that names them, and the web services, which end when
/// they are dropped.
async fn start_archives(dir: &Path) -> Result<(String, Vec<Arc<Web>>), Box<dyn Error>> {
    let (state, token) = (dir.join("state"), dir.join("token"));
    std::fs::write(&token, TOKEN)?;
    let mut config = format!(
        "[server]\nname = \"localhost\"\nstate_dir = {state:?}\ndrain_deadline = \"5s\"\n\n\
         [admin]\nlisten = \"{API}\"\ntoken_file = {token:?}\n\n\
         [[listener]]\nprotocol = \"imap\"\naddress = \"{IMAP}\"\n\n\
         [[listener]]\nprotocol = \"imaps\"\naddress = \"{IMAPS}\"\n\n\
         [[listener]]\nprotocol = \"https\"\naddress = \"{HTTPS}\"\n\n\
         [https]\narray = \"door\"\n\n\
         [[https.identity]]\nfrom = \"basic\"\n\n\
         [[https.identity]]\nfrom = \"form\"\npath = \"/login\"\nfield = \"username\"\n\n\
         [[array]]\nname = \"door\"\naffinity = \"cookie\"\nmembers = [\n  {{ name = \"door.example.com\", \
         http = {{ address = \"{DOOR}\", tls = \"none\" }} }},\n]\n\n\
         [[domain]]\nname = \"example.com\"\naliases = [\"example.org\"]\ndefault_for = [\"any\"]\n"
    );
    let mut webs = vec![Web::start("door.example.com", DOOR.parse()?, None)];
    for (name, address, tls, word, _) in HOSTS {
        let certificate = Certificate::for_names(&[name]);
        let socket: SocketAddr = address.parse()?;
        let options = Options { tls, certificate: Some(certificate.clone()), ..Options::named(name) };
        let archive = Archive::start(options, socket).await.map_err(|error| format!("{address}: {error}"))?;
        let web = SocketAddr::new(socket.ip(), socket.port() + 1000);
        let http = if tls == Tls::None { "none" } else { "implicit" };
        webs.push(Web::start(name, web, (tls != Tls::None).then_some(&*certificate)));
        // Everybody has an archive everywhere, so that a user can be moved and the move be seen.
        for user in HOSTS.iter().flat_map(|(.., users)| users) {
            archive.add_user(&format!("{user}@example.com"), &password(user));
        }
        let pins = match tls {
            Tls::None => String::new(),
            Tls::Implicit | Tls::StartTls => format!("fingerprints = [{:?}]\n", certificate.pin()),
        };
        config.push_str(&format!(
            "\n[[instance_host]]\nname = \"{name}\"\nimap = {{ address = \"{address}\", tls = \"{word}\" }}\n\
             http = {{ address = \"{web}\", tls = \"{http}\" }}\n{pins}login_as = \"canonical\"\n"
        ));
    }
    Ok((config, webs))
}

fn password(user: &str) -> String {
    format!("{user}-secret")
}

/// Returns once usher takes connections.
async fn serving() {
    while TcpStream::connect(IMAPS).await.is_err() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn what_to_try(usher: &Path, config: &Path) -> String {
    let shown = |path: &Path| {
        let here = std::env::current_dir().unwrap_or_default();
        path.strip_prefix(here).map_or_else(|_| path.to_owned(), PathBuf::from).display().to_string()
    };
    let (usher, config) = (shown(usher), shown(config));
    let people: String = HOSTS
        .iter()
        .flat_map(|(host, .., users)| {
            users.map(|user| {
                format!("    {:<20} {:<14} on {host}\n", format!("{user}@example.com"), password(user))
            })
        })
        .collect();
    format!(
        "
usher is serving in front of three sample archive servers. Try, in another terminal:

  Read a message; it names the host that holds it:
    curl -k 'imaps://{IMAPS}/INBOX;MAILINDEX=1' -u anna@example.com:anna-secret
    curl -k --ssl-reqd 'imap://{IMAP}/INBOX;MAILINDEX=1' -u ben:ben-secret

  Talk to it yourself:
    openssl s_client -quiet -crlf -connect {IMAPS}
    a LOGIN carla carla-secret

  Web access (these samples take any password); the answer names the host, and shows what it saw:
    curl -k https://{HTTPS}/inbox -u anna@example.com:anna-secret
    curl -k https://{HTTPS}/inbox -u carla:x
    a browser: https://{HTTPS}/login, any user below, password secret

  The console, live: http://{API}/; to change things there, sign in with {TOKEN}

  A mail client (Thunderbird, mutt, …): server 127.0.0.1, port 1993 with SSL/TLS or 1143 with STARTTLS,
  normal password, and an exception for the self-signed certificate.

  Users, passwords, and where their archives are:
{people}
  Ask where a user is, and move them:
    {usher} user --config {config} get anna
    {usher} user --config {config} set anna ih2.example.com
    {usher} explain --config {config} anna

  See the hosts, take one out without hurting anyone, and back:
    {usher} status --config {config}
    {usher} drain --config {config} ih1.example.com --why maintenance --wait
    {usher} start --config {config} ih1.example.com
    {usher} top --config {config}
    curl {API}/metrics

Ctrl-C stops it.
"
    )
}
