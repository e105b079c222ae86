//! `[directory]`.

mod access;
mod ldap;
mod sources;

use super::Faults;
use crate::fault::Fault;
use crate::raw::{Located, Section};
use crate::snapshot::{AskPeers, Directory, InstanceHost, Peers};
use std::ops::Range;
use std::path::PathBuf;
use usher_policy::Service;
use usher_policy::identity::Domains;

/// The ways to ask a host, as they are written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Master,
    Http,
    Login,
}

pub(super) fn check(
    file: &mut Section<'_>,
    hosts: &[InstanceHost],
    domains: &Domains,
    faults: &mut Faults,
) -> Directory {
    let mut directory = Directory::default();
    let Some(mut section) = file.single("directory", faults) else { return directory };
    directory.sources = sources::check(&mut section, faults);
    if let Some(cache) = sources::cache(&mut section, faults) {
        directory.cache = cache;
    }
    if let Some(deadline) = section.optional("deadline", faults) {
        directory.deadline = deadline.value;
    }
    let on_miss = section.word("on_miss", &[("none", false), ("peers", true)], faults);
    directory.learn_referrals =
        section.optional("learn_referrals", faults).is_some_and(|learns| learns.value);
    let example =
        "{ ask = \"master\", master_user = \"admin\", master_password_file = \"/etc/usher/master.secret\" }";
    let peers = match on_miss {
        Some(true) => section.required_table("peers", example, faults),
        _ => section.table("peers", example, faults),
    };
    let peers = peers.and_then(|peers| read(peers, hosts, domains, faults));
    directory.peers = peers.filter(|_| on_miss == Some(true));
    section.finish(faults);
    directory
}

fn read(
    mut section: Section<'_>,
    hosts: &[InstanceHost],
    domains: &Domains,
    faults: &mut Faults,
) -> Option<Peers> {
    let span = section.span.clone();
    let mut asked = Vec::new();
    for item in section.list("hosts", faults) {
        let Some(name) = item.text(faults) else { continue };
        let lower = name.value.to_ascii_lowercase();
        match hosts.iter().any(|host| host.name == lower) {
            true => asked.push(lower),
            false => faults.push(name.fault(
                format!("there is no [[instance_host]] \"{}\"", name.value.escape_debug()),
                "name one that is configured here",
            )),
        }
    }
    let ways = [("master", Way::Master), ("http", Way::Http), ("login", Way::Login)];
    let ask = section.word("ask", &ways, faults);
    let user: Option<Located<String>> = section.optional("master_user", faults);
    let password_file: Option<Located<String>> = section.optional("master_password_file", faults);
    let path: Option<Located<String>> = section.optional("path", faults);
    section.finish(faults);
    let way = ask.or(path.as_ref().map(|_| Way::Http)).or(user.as_ref().map(|_| Way::Master));
    let mut missing = |key: &str, example: &str| {
        let what = format!("`peers` of [directory] has no `{key}`");
        faults.push(Fault::new(span.clone(), what, format!("add `{key} = {example}`")));
    };
    let ask = match way {
        None => {
            missing("ask", "\"master\"`, `\"http\"` or `\"login\"");
            return None;
        }
        Some(Way::Login) => AskPeers::Login,
        Some(Way::Http) => {
            let Some(path) = path else {
                missing("path", "\"/users/{user}\"");
                return None;
            };
            if !path.value.starts_with('/') || !path.value.contains("{user}") {
                faults
                    .push(path.fault("not a path with a user in it", "write one such as \"/users/{user}\""));
                return None;
            }
            AskPeers::Http { path: path.value }
        }
        Some(Way::Master) => match (user, password_file) {
            (Some(user), Some(file)) => {
                if domains.master_separator().is_none() {
                    faults.push(user.fault(
                        "no name can have a master user in it, because `master_separator` of [login] is \"\"",
                        "write the separator that the hosts have, such as \"*\"",
                    ));
                }
                AskPeers::Master { user: user.value, password_file: PathBuf::from(file.value) }
            }
            (user, _) => {
                let key = if user.is_none() { "master_user" } else { "master_password_file" };
                missing(key, "…");
                return None;
            }
        },
    };
    tell_of_those_who_cannot_be_asked(hosts, &asked, &ask, span, faults);
    Some(Peers { hosts: asked, ask })
}

/// Of the users of a host that is not asked, nobody could say where they are.
fn tell_of_those_who_cannot_be_asked(
    hosts: &[InstanceHost],
    asked: &[String],
    ask: &AskPeers,
    span: Range<usize>,
    faults: &mut Faults,
) {
    let lacks = |host: &&InstanceHost| match ask {
        AskPeers::Http { .. } => host.services.http().is_none(),
        AskPeers::Master { .. } | AskPeers::Login => host.services.mail(Service::Imap).is_none(),
    };
    let mut asked = hosts.iter().filter(|host| asked.is_empty() || asked.contains(&host.name));
    if let Some(host) = asked.find(lacks) {
        let what = format!("{} cannot be asked like this: it does not have what is asked", host.name);
        faults.push(Fault::new(span, what, "name the `hosts` that are to be asked, or ask in another way"));
    }
}
