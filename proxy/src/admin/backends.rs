//! The state of hosts, members and holds.

use super::Context;
use super::State;
use super::error::Refusal;
use super::model::{Backend, Drain, FormerProcess, Hold, Holds, KeyHold, ServiceView, Status};
use super::sources;
use crate::drain::{Phase, Progress};
use crate::succession::Answer;
use crate::version::VERSION;
use axum::Json;
use axum::extract::Path;
use axum::http::Method;
use std::collections::HashMap;
use usher_backends::roster::{BackendId, HostOrigin, Roster, Service, Standing};
use usher_config::snapshot::{HttpEndpoint, Pin, Protocol};

/// usher as a whole.
#[utoipa::path(get, path = "/v1/status", operation_id = "getStatus", responses((status = 200, description = "Done.", body = Status)))]
pub(super) async fn status(context: State) -> Json<Status> {
    let (backends, former) = everywhere(&context).await;
    let context = &context;
    let roster = context.fleet.roster();
    let elsewhere = |count: fn(&FormerProcess) -> usize| former.iter().map(count).sum::<usize>();
    Json(Status {
        version: VERSION.to_owned(),
        name: context.config.load().snapshot.server.name.clone(),
        sources: sources::standing(context),
        uptime_seconds: context.begun.elapsed().as_secs(),
        stopping: context.shutdown.has_begun(),
        connections: context.admission.connections.count()
            + u32::try_from(elsewhere(|former| former.connections as usize)).unwrap_or(u32::MAX),
        sessions: context.sessions.len() + elsewhere(|former| former.sessions),
        held_logins: context.held_logins.count(),
        checker_suspected: context.health.suspects_itself(),
        backends,
        moving: moving(&roster),
        process: std::process::id(),
        drain: context.drains.progress("").map(drain),
        former,
    })
}

/// All backends, with their sessions in all processes; and the processes that this one has succeeded.
pub(super) async fn everywhere(context: &Context) -> (Vec<Backend>, Vec<FormerProcess>) {
    let said = context.ask_formers::<Status>(Method::GET, "/v1/status", "").await;
    let mut backends = all(context, &context.fleet.roster());
    let mut formers = Vec::new();
    for Answer { process, said } in said {
        let Status { version, connections, sessions, drain, backends: theirs, .. } = said;
        let theirs: HashMap<_, _> = theirs.iter().map(|one| ((&one.array, &one.name), one)).collect();
        for backend in &mut backends {
            if let Some(former) = theirs.get(&(&backend.array, &backend.name)) {
                add(backend, former);
            }
        }
        formers.push(FormerProcess { process, version, connections, sessions, drain });
    }
    (backends, formers)
}

/// Adds the sessions that another process has with a backend.
fn add(backend: &mut Backend, former: &Backend) {
    backend.sessions += former.sessions;
    for view in &mut backend.services {
        let same = former.services.iter().find(|other| other.service == view.service);
        if let (Some(sessions), Some(others)) = (&mut view.sessions, same.and_then(|same| same.sessions)) {
            *sessions += others;
        }
    }
    if let (Some(drain), Some(others)) = (&mut backend.drain, &former.drain) {
        drain.left += others.left;
        drain.began_with += others.began_with;
        if drain.phase == Phase::Done.name() {
            drain.phase.clone_from(&others.phase);
        }
    }
}

/// All instance hosts and array members.
#[utoipa::path(get, path = "/v1/hosts", operation_id = "listHosts", responses((status = 200, description = "Done.", body = Vec<Backend>)))]
pub(super) async fn hosts(context: State) -> Json<Vec<Backend>> {
    Json(everywhere(&context).await.0)
}

/// The backends called `name`: a machine may be a host and a member of several arrays.
#[utoipa::path(get, path = "/v1/hosts/{name}", operation_id = "getHost", responses((status = 200, description = "Done.", body = Vec<Backend>), (status = 404, description = "Not found.")))]
pub(super) async fn host(context: State, Path(name): Path<String>) -> Result<Json<Vec<Backend>>, Refusal> {
    let (mut found, _) = everywhere(&context).await;
    found.retain(|backend| backend.name.eq_ignore_ascii_case(&name));
    match found.is_empty() {
        true => Err(Refusal::unknown(format!("there is no host or member {name:?}"))),
        false => Ok(Json(found)),
    }
}

/// All holds.
#[utoipa::path(get, path = "/v1/holds", operation_id = "listHolds", responses((status = 200, description = "Done.", body = Holds)))]
pub(super) async fn holds(context: State) -> Json<Holds> {
    let roster = context.fleet.roster();
    let backends = all(&context, &roster);
    let held = backends.into_iter().filter(|backend| !backend.holds.is_empty());
    Json(Holds {
        backends: held.map(|backend| (backend.name, backend.holds)).collect(),
        keys: moving(&roster),
    })
}

fn moving(roster: &Roster) -> Vec<KeyHold> {
    let keys = roster.moving_keys().map(|(key, hold)| KeyHold {
        key: key.to_string(),
        since: hold.since,
        by: hold.by.clone(),
        why: hold.why.clone(),
    });
    keys.collect()
}

pub(super) fn all(context: &Context, roster: &Roster) -> Vec<Backend> {
    let mut backends: Vec<_> = roster.hosts().map(|host| instance_host(context, host)).collect();
    for member in roster.arrays().flat_map(|array| &array.members) {
        let config = &member.config;
        let mut services = Vec::new();
        if let Some(tcp) = &config.tcp {
            let port = tcp.port.map_or_else(|| "*".to_owned(), |port| port.to_string());
            let address = format!("{}:{port}", tcp.host);
            services.push(service(context, &member.id, &member.standing, Service::Tcp, address));
        }
        services.extend(http(context, &member.id, &member.standing, config.http.as_ref()));
        backends.push(Backend {
            origin: "file".to_owned(),
            services,
            max_sessions: config.max_sessions,
            weight: config.weight,
            ..common(context, &member.id, &member.standing, &config.pins)
        });
    }
    count_sessions(context, &mut backends);
    backends
}

/// Counts the sessions of each service.
fn count_sessions(context: &Context, backends: &mut [Backend]) {
    let mut counts: HashMap<(Option<String>, String, Service), u32> = HashMap::new();
    context.sessions.for_each(|session| {
        let Some(id) = session.backend() else { return };
        let service = match session.about.protocol {
            Protocol::Imap | Protocol::Imaps => Service::Imap,
            Protocol::Https | Protocol::HttpRedirect => Service::Http,
            Protocol::Tcp => Service::Tcp,
        };
        let array = id.array.as_ref().map(ToString::to_string);
        *counts.entry((array, id.name.to_string(), service)).or_default() += 1;
    });
    for backend in backends {
        for view in &mut backend.services {
            let services = [Service::Imap, Service::Http, Service::Tcp];
            let service = services.into_iter().find(|service| service.name() == view.service);
            let key = service.map(|service| (backend.array.clone(), backend.name.clone(), service));
            view.sessions = Some(key.and_then(|key| counts.get(&key).copied()).unwrap_or(0));
        }
    }
}

/// A host as it stands.
pub(super) fn instance_host(context: &Context, host: &usher_backends::roster::Host) -> Backend {
    let config = &host.config;
    let addresses = config.services.map(|mail| mail.address.clone(), |http| http.address.clone());
    let services =
        addresses.each().map(|(of, address)| service(context, &host.id, &host.standing, of, address));
    let origin = match &host.origin {
        HostOrigin::File => "file",
        HostOrigin::Added { .. } => "added",
    };
    Backend {
        origin: origin.to_owned(),
        services: services.collect(),
        max_sessions: config.max_sessions,
        ..common(context, &host.id, &host.standing, &config.pins)
    }
}

fn common(context: &Context, id: &BackendId, standing: &Standing, pins: &[Pin]) -> Backend {
    Backend {
        name: id.name.to_string(),
        array: id.array.as_ref().map(ToString::to_string),
        origin: String::new(),
        services: Vec::new(),
        holds: holds_of(standing),
        sessions: standing.leases(),
        max_sessions: None,
        weight: 1,
        fingerprints: pins.iter().map(ToString::to_string).collect(),
        drain: context.drains.progress(&id.name).map(drain),
    }
}

fn http(
    context: &Context,
    id: &BackendId,
    standing: &Standing,
    endpoint: Option<&HttpEndpoint>,
) -> Option<ServiceView> {
    endpoint.map(|http| service(context, id, standing, Service::Http, http.address.clone()))
}

fn service(
    context: &Context,
    id: &BackendId,
    standing: &Standing,
    service: Service,
    address: String,
) -> ServiceView {
    let report = context.health.report(id, service);
    let report = report.as_ref();
    ServiceView {
        service: service.name().to_owned(),
        address,
        state: standing.state(service).name().to_owned(),
        share: standing.share(service),
        sessions: None,
        checked_at: report.map(|report| report.at),
        check_seconds: report.map(|report| report.took.as_secs_f64()),
        fault: report.and_then(|report| report.fault.clone()),
        capabilities: report.and_then(|report| report.learnt.capabilities.clone()),
        certificate_ends: report.and_then(|report| report.learnt.certificate_ends),
    }
}

fn holds_of(standing: &Standing) -> Vec<Hold> {
    let plain = |hold: &str, kind: &str| Hold {
        hold: hold.to_owned(),
        kind: kind.to_owned(),
        since: None,
        by: None,
        why: None,
    };
    let operator = standing.holds.operator.as_ref().map(|hold| Hold {
        since: Some(hold.since),
        by: Some(hold.by.clone()),
        why: Some(hold.why.clone()),
        ..plain("operator", hold.kind.name())
    });
    let boot = standing.holds.boot.then(|| plain("boot", "stop"));
    let agent = standing.holds.agent.hold().map(|word| plain("agent", word));
    let health = standing.out.iter().map(|out| Hold {
        since: Some(out.since),
        why: Some(out.why.clone()),
        ..plain("health", out.service.name())
    });
    operator.into_iter().chain(boot).chain(agent).chain(health).collect()
}

/// The progress of a drain.
pub(super) fn drain(progress: Progress) -> Drain {
    Drain {
        kind: progress.kind.name().to_owned(),
        phase: progress.phase.name().to_owned(),
        began_with: progress.began_with,
        left: progress.left,
        passed_seconds: progress.passed.as_secs_f64(),
        deadline_seconds: progress.deadline.as_secs_f64(),
        estimate_seconds: progress.estimate.map(|estimate| estimate.as_secs_f64()),
    }
}
