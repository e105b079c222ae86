//! Why a login goes where it goes, found by the same steps as a real login.

use super::Context;
use super::State;
use super::backends::instance_host;
use super::change::blocking;
use super::directory::view;
use super::error::Refusal;
use super::model::{Explanation, KeyHold};
use super::params::Params;
use crate::access::{Hearing, Visit};
use crate::active::ActiveConfig;
use crate::guessing::{Standing, Who};
use crate::route::{Answer, Decided};
use crate::rule_book::RuleBook;
use axum::Json;
use serde::Deserialize;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use tokio::runtime::Handle;
use usher_backends::roster::{Host, Service, ServiceState, now};
use usher_config::snapshot::Protocol;
use usher_policy::ArchiveKey;
use usher_policy::access::{Attributes, Name};
use usher_policy::identity::Arrival;
use usher_policy::route::{Decision, Outage};
use utoipa::IntoParams;

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct Login {
    /// The name as typed.
    user: String,
    /// The client's address.
    #[param(value_type = Option<String>)]
    from: Option<IpAddr>,
    /// The listener's protocol: `imap`, `imaps` or `https`.
    protocol: Option<String>,
    /// usher's address that the client connects to, for bare names.
    #[param(value_type = Option<String>)]
    local: Option<IpAddr>,
    /// The name that the client asks for with SNI, for bare names.
    server_name: Option<String>,
}

/// Why a login of `user` goes where it goes.
#[utoipa::path(get, path = "/v1/explain", operation_id = "explain", params(Login), responses((status = 200, description = "Done.", body = Explanation), (status = 400, description = "The request is invalid; `error` says why.")))]
pub(super) async fn explain(
    context: State,
    Params(login): Params<Login>,
) -> Result<Json<Explanation>, Refusal> {
    let context = context.0.clone();
    blocking(move || explained(&context, &login).map(Json)).await
}

fn explained(context: &Context, login: &Login) -> Result<Explanation, Refusal> {
    let setting = context.config.load();
    let arrival = Arrival { local: login.local, server_name: login.server_name.as_deref() };
    // A tenant or a whole domain can be asked for too, as in requests.
    let domains = &setting.snapshot.domains;
    let key = match login.user.starts_with("tenant:") || login.user.starts_with('@') {
        true => domains.written(&login.user),
        false => domains.user(login.user.as_bytes(), arrival),
    };
    let listeners = listeners(&setting, login);
    if login.protocol.is_some() && listeners.is_empty() {
        return Err(Refusal::bad("no listener speaks this protocol"));
    }
    let from = login.from.map_or_else(|| "any address".to_owned(), |from| from.to_string());
    let mut told = Explanation {
        typed: login.user.clone(),
        key: key.as_ref().map(ToString::to_string),
        domain: key.as_ref().and_then(ArchiveKey::domain).map(|domain| domain.to_string()),
        entry: None,
        source: String::new(),
        age_seconds: None,
        rule: format!("no access rules are configured: logins from {from} are allowed"),
        guessing: Vec::new(),
        moving: None,
        host: None,
        listeners,
        outcome: "refused like a wrong password: no archive can have this name".to_owned(),
    };
    let standing = standing(context, login, key.as_ref());
    told.guessing = standing.told;
    let Some(key) = key else { return Ok(told) };
    let by_http = login.protocol.as_deref() == Some(Protocol::Https.name());
    let replies = if by_http { &HTTP } else { &IMAP };
    let hearing = hearing(&setting, login, arrival);
    let Decided { decision, answer, source, age } =
        Handle::current().block_on(context.router.explain(&key, hearing.as_ref()));
    source.clone_into(&mut told.source);
    if let Some(hearing) = &hearing {
        told.rule = rule(&setting.access, hearing, &answer, login.from.is_some());
    }
    if standing.is_refused {
        told.outcome = replies.held_off.to_owned();
        return Ok(told);
    }
    if decision == Decision::Denied {
        return Ok(Explanation { outcome: replies.denied.to_owned(), ..told });
    }
    let (placement, is_remembered) = match answer {
        Answer::Placed { placement, is_remembered } => (placement, is_remembered),
        Answer::Nobody => {
            let nobody = if setting.snapshot.directory.peers.is_some() { NOBODY_YET } else { NOBODY };
            nobody.clone_into(&mut told.outcome);
            return Ok(told);
        }
        Answer::Failed(error) => {
            told.outcome = format!("{}: the directory cannot be read: {error}", replies.held);
            return Ok(told);
        }
    };
    if is_remembered {
        told.source = format!("{source}, remembered");
    }
    if is_remembered || source != context.directory.name() {
        told.age_seconds = Some(age.as_secs() as i64);
    } else if let Some(entry) = context.directory.get(&placement.found_by)? {
        told.age_seconds = Some(now() - entry.set_at);
        told.entry = Some(view(entry));
    }
    let roster = context.fleet.roster();
    told.moving = roster.moving(&key, Some(&placement.found_by)).map(|hold| KeyHold {
        key: key.to_string(),
        since: hold.since,
        by: hold.by.clone(),
        why: hold.why.clone(),
    });
    let host = roster.host(&placement.host);
    told.outcome = of_placed(&decision, host.map(|host| &**host), &placement.host, replies);
    told.host = host.map(|host| instance_host(context, host));
    Ok(told)
}

const NOBODY: &str = "refused like a wrong password: the directory has no entry for it";
const NOBODY_YET: &str =
    "the directory has no entry for it; when somebody logs in, the hosts are asked who has it";

/// What would happen to somebody whose archive is on the host of this name.
fn of_placed(decision: &Decision, host: Option<&Host>, name: &str, replies: &Replies) -> String {
    match (decision, host) {
        (Decision::Permitted(_), Some(host)) => outcome(host, replies),
        (Decision::Concealed(_), _) => {
            "refused like a wrong password: an access rule denies what the directory says of it".to_owned()
        }
        (Decision::Outage(Outage::Moving), _) => format!("{}: its archive is being moved", replies.held),
        _ => format!("{}: the host {name:?} is not configured", replies.held),
    }
}

/// The listeners that the login can use.
fn listeners(setting: &ActiveConfig, login: &Login) -> Vec<String> {
    let usable = setting.snapshot.listeners.iter().filter(|listener| {
        login.protocol.as_ref().is_none_or(|protocol| *protocol == listener.protocol().name())
    });
    usable.map(|listener| format!("{} {}", listener.protocol().name(), listener.address)).collect()
}

/// What a client gets if nobody serves it: after a while, and at once.
struct Replies {
    service: Service,
    held: &'static str,
    at_once: &'static str,
    denied: &'static str,
    held_off: &'static str,
}

const IMAP: Replies = Replies {
    service: Service::Imap,
    held: "waits, then is told that the archive is unavailable",
    at_once: "BYE at once",
    denied: "refused: an access rule denies it; the client is told to ask its administrator",
    held_off: "NO [LIMIT], untried",
};
const HTTP: Replies = Replies {
    service: Service::Http,
    held: "503",
    at_once: "503",
    denied: "403: an access rule denies it",
    held_off: "429, untried",
};

/// How the login stands with those that have failed before it.
fn standing(context: &Context, login: &Login, key: Option<&ArchiveKey>) -> Standing {
    let address = login.from.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
    let setting = context.config.load();
    let arrival = Arrival { local: login.local, server_name: login.server_name.as_deref() };
    let users = setting.snapshot.domains.counted(login.user.as_bytes(), arrival);
    let key = key.map(ToString::to_string).unwrap_or_default();
    let who =
        Who { protocol: Protocol::Imaps, client: SocketAddr::new(address, 0), key, users, has_token: false };
    context.guessing.standing(&who, login.from.is_some())
}

/// Who would come; `None`: there are no access rules.
fn hearing(setting: &ActiveConfig, login: &Login, arrival: Arrival<'_>) -> Option<Hearing> {
    if setting.access.rules.is_empty() {
        return None;
    }
    let spoken = |protocol: &Protocol| login.protocol.as_deref().is_some_and(|name| name == protocol.name());
    let protocol = [Protocol::Imap, Protocol::Https].into_iter().find(spoken).unwrap_or(Protocol::Imaps);
    let mechanism = if protocol == Protocol::Https { "basic" } else { "plain" };
    let address = login.from.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
    let shown = setting.snapshot.domains.shown(login.user.as_bytes(), arrival);
    let visit = Visit {
        protocol,
        client: SocketAddr::new(address, 0),
        mechanism: Some(mechanism),
        names: if shown.is_empty() { vec![Name::written(&login.user)] } else { shown },
        has_certificate: false,
    };
    Some(Hearing::new(setting.access.clone(), visit))
}

/// The access rule that decides, in a sentence.
fn rule(book: &RuleBook, hearing: &Hearing, answer: &Answer, has_address: bool) -> String {
    let attributes = match answer {
        Answer::Placed { placement, .. } => placement.attributes(),
        Answer::Nobody | Answer::Failed(_) => Attributes::default(),
    };
    let first = hearing.matching(&attributes).first().and_then(|at| book.rule(*at));
    let decided = match first {
        Some(rule) => format!("{} by \"{}\"", rule.action.name(), rule.name),
        None => "allow: no access rule matches".to_owned(),
    };
    let unsure = if has_address { "" } else { "; name the client's address with `from`" };
    decided + unsure
}

fn outcome(host: &Host, replies: &Replies) -> String {
    let (name, standing) = (&host.config.name, &host.standing);
    let Replies { service, held, at_once, .. } = *replies;
    if !host.services.offers(service) {
        return format!("{held}: {name} has no `{}`", service.name());
    }
    match standing.state(service) {
        ServiceState::Up if host.config.max_sessions.is_some_and(|most| standing.leases() >= most) => {
            format!("{held}: {name} has reached its limit of sessions")
        }
        ServiceState::Up => format!("goes to {name}"),
        ServiceState::Returning => {
            format!("goes to {name}, possibly after a short wait: it has just come back")
        }
        ServiceState::Stopped => format!("{at_once}: {name} is stopped"),
        ServiceState::Unhealthy => {
            let why = standing.out_by_health(service).map(|out| out.why.as_str()).unwrap_or_default();
            format!("{held}: {name} is out of service: {why}")
        }
        state @ (ServiceState::Held | ServiceState::Draining | ServiceState::Drained) => {
            format!("{held}: {name} is {}", state.name())
        }
    }
}
