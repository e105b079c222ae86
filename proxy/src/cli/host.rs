//! `usher host`: hosts that are added while running.

use super::api::{ApiError, Reach, part};
use super::{Exit, complete, print};
use clap::{Args, Subcommand};
use hyper::Method;
use serde_json::{Map, Value, json};

#[derive(Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    reach: Reach,
    #[command(subcommand)]
    command: Command,
}

/// Hosts that are added here are kept in state_dir, in addition to those in the configuration file.
#[derive(Subcommand)]
enum Command {
    /// Add a host.
    Add {
        /// Its name.
        name: String,
        /// Where its IMAP is, such as 10.0.0.11:993.
        #[arg(long)]
        address: String,
        /// How TLS begins: implicit, starttls or none.
        #[arg(long, default_value = "implicit")]
        tls: String,
        /// A pin of its certificate, sha256:…; may be given twice.
        #[arg(long = "fingerprint", value_name = "PIN")]
        fingerprints: Vec<String>,
        #[arg(value_name = "KEY=VALUE", help = "More keys of [[instance_host]], as KEY=VALUE")]
        keys: Vec<String>,
    },
    /// Change keys of a host, as KEY=VALUE; KEY= removes one.
    Set {
        /// Its name.
        #[arg(add = complete::hosts())]
        name: String,
        /// The keys, such as max_sessions=2000 or imap.address=10.0.0.12:993.
        #[arg(value_name = "KEY=VALUE", required = true)]
        keys: Vec<String>,
    },
    /// Remove a host. Its sessions continue; it gets no new ones.
    Remove {
        /// Its name.
        #[arg(add = complete::hosts())]
        name: String,
        /// Remove it even if the directory has users there.
        #[arg(long)]
        force: bool,
    },
}

pub(super) fn host(arguments: &Arguments) -> Exit {
    let reach = &arguments.reach;
    let done = match &arguments.command {
        Command::Add { name, address, tls, fingerprints, keys } => {
            add(reach, name, address, tls, fingerprints, keys)
        }
        Command::Set { name, keys } => set(reach, name, keys),
        Command::Remove { name, force } => {
            let path = format!("/v1/hosts/{}?force={force}", part(name));
            let removed = reach.api().and_then(|api| api.change(Method::DELETE, &path, None::<&()>));
            removed.map(|()| format!("{name}: removed\n"))
        }
    };
    match done {
        Ok(said) => print(&said),
        Err(error) => error.tell(),
    }
}

fn add(
    reach: &Reach,
    name: &str,
    address: &str,
    tls: &str,
    fingerprints: &[String],
    keys: &[String],
) -> Result<String, ApiError> {
    let mut host = Map::new();
    host.insert("name".to_owned(), json!(name));
    host.insert("imap".to_owned(), json!({ "address": address, "tls": tls }));
    if !fingerprints.is_empty() {
        host.insert("fingerprints".to_owned(), json!(fingerprints));
    }
    for key in keys {
        assign(&mut host, key)?;
    }
    reach.api()?.change(Method::POST, "/v1/hosts", Some(&host))?;
    Ok(format!("{name}: added; to put users there: usher user set USER {name}\n"))
}

fn set(reach: &Reach, name: &str, keys: &[String]) -> Result<String, ApiError> {
    let mut changes = Map::new();
    for key in keys {
        assign(&mut changes, key)?;
    }
    reach.api()?.change(Method::PATCH, &format!("/v1/hosts/{}", part(name)), Some(&changes))?;
    Ok(format!("{name}: changed\n"))
}

/// Parses `KEY=VALUE`. The value is TOML, or a string without quotes; a dot descends into an inner table.
fn assign(into: &mut Map<String, Value>, written: &str) -> Result<(), ApiError> {
    let Some((key, value)) = written.split_once('=') else {
        return Err(ApiError::WrongUse(format!("{written:?} is not KEY=VALUE")));
    };
    let value = if value.is_empty() {
        Value::Null
    } else {
        let table = toml::from_str::<toml::Table>(&format!("value = {value}"));
        let read = table.ok().and_then(|table| serde_json::to_value(table.get("value")?).ok());
        read.unwrap_or_else(|| json!(value))
    };
    match key.split_once('.') {
        None => {
            into.insert(key.to_owned(), value);
        }
        Some((outer, inner)) => {
            let table = into.entry(outer).or_insert_with(|| json!({}));
            if let Value::Object(table) = table {
                table.insert(inner.to_owned(), value);
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_as_toml_or_text() {
        let mut host = Map::new();
        for key in
            ["max_sessions=5", "login_as=typed", "imap.address=10.0.0.1:993", "fingerprints=[\"a\"]", "x="]
        {
            assign(&mut host, key).unwrap();
        }
        let expected = json!({
            "max_sessions": 5, "login_as": "typed", "imap": { "address": "10.0.0.1:993" },
            "fingerprints": ["a"], "x": null,
        });
        assert_eq!(Value::Object(host), expected);
        assert!(assign(&mut Map::new(), "x").is_err());
    }
}
