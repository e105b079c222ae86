//! One attempt: the decision, a turn, a lease, a connection, the host's answer.

use super::PreLogin;
use super::case::Case;
use super::credential::credential_for;
use super::scram::{Relayed, in_time};
use super::tried::{Refusal, Try};
use super::visitor::visitor;
use super::voice::Voice;
use crate::access::Visit;
use crate::peers::Told;
use crate::session::Why;
use crate::slot::Slot;
use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, timeout_at};
use usher_backends::connect::{
    self, Cause, ConnectFault, Deadlines, LoginFault, LoginOutcome, OnBehalf, ShownCertificate,
};
use usher_backends::health::secret;
use usher_backends::roster::{Host, Lease, Service, Unavailable, UnderWay};
use usher_config::snapshot::LoginAs;
use usher_policy::ArchiveKey;
use usher_policy::identity::Says;
use usher_policy::route::{Decision, Permit};
use usher_wire::imap::login::Fault;
use usher_wire::imap::referral::Referral;
use usher_wire::imap::reply::Code;
use usher_wire::imap::sasl::{Credential, Proof};

/// Least time to wait for a turn at a host that has come back: nobody is sent away while it works through those ahead.
const TURN: Duration = Duration::from_secs(10);

/// Most referrals that are followed.
const REFERRALS: usize = 3;

/// Where the archive of `key` is to be used; `Err` is the result of the attempt if it cannot be used.
async fn home(case: &Case<'_>, key: &ArchiveKey) -> Result<(Permit, Arc<Host>), Try> {
    let Case { prelogin, session, .. } = case;
    let router = &prelogin.server.router;
    let permit = match router.decide(key, Instant::now(), || Visit::of(session), || visitor(case)).await {
        Decision::Permitted(permit) => permit,
        Decision::Denied => return Err(Try::Denied),
        // A wrong password would be one only to a host that is there.
        Decision::Concealed(permit) => {
            let leased = router.lease(&permit, Service::Imap);
            return Err(leased.map_or_else(unavailable, |_| Try::DeniedCovertly));
        }
        Decision::Nobody => return Err(Try::Unknown),
        Decision::Outage(_) => return Err(Try::Out),
    };
    let host = router.host(&permit).ok_or(Try::Out)?;
    Ok((permit, host))
}

/// Where the archive of a user is whom the directory does not know, if the hosts are to be asked by the user's own
/// login. Each is asked once for each login that a client tries.
async fn ask_peers(case: &Case<'_>, key: &ArchiveKey) -> Result<(Permit, Arc<Host>), Try> {
    let Case { prelogin, claim, voice, .. } = case;
    // A conversation is with one host, and of certificates only the host is told that is known to have the user.
    if voice.is_some() || claim.credential.proof == Proof::Certificate {
        return Err(Try::Unknown);
    }
    let id = prelogin.id.to_string();
    let on_behalf =
        OnBehalf { source: prelogin.client, destination: prelogin.local, session: &id, certificate: None };
    let credential = |host: &Host| credential_for(prelogin, host, claim, key, None).into_owned();
    let told = prelogin.server.router.peers.ask_by_own_login(key, &credential, on_behalf).await;
    match told {
        None | Some(Told::Nobody) => Err(Try::Unknown),
        Some(Told::On(_)) => home(case, key).await,
        Some(Told::Unsure(_) | Told::Twice(_)) => Err(Try::Hopeless),
    }
}

/// What it means for a login that its host cannot be had.
fn unavailable(why: Unavailable) -> Try {
    match why {
        Unavailable::Stopped => Try::Ended(Why::Stopped),
        Unavailable::Draining | Unavailable::Unhealthy | Unavailable::Full | Unavailable::Gone => Try::Out,
    }
}

/// One attempt. `come` is when the login arrived, and `until` is its deadline.
pub(super) async fn attempt(
    case: &Case<'_>,
    key: &ArchiveKey,
    (come, until): (Instant, Instant),
    slot: &mut Option<Slot>,
) -> Try {
    let Case { prelogin, session, .. } = case;
    let server = &prelogin.server;
    let found = match home(case, key).await {
        Err(Try::Unknown) => ask_peers(case, key).await,
        found => found,
    };
    let (mut permit, host) = match found {
        Ok(home) => home,
        Err(without) => return without,
    };
    session.goes_to(&host.id);
    let (client, id) = (prelogin.client, prelogin.id);
    tracing::debug!(%client, session = %id, user = %key, host = host.config.name, "the directory names this host");
    let mut turn = None;
    if host.standing.share(Service::Imap) < 1.0 && host.standing.serves(Service::Imap) {
        turn = wait_for_turn(prelogin, &host, (come, until), slot).await;
        if turn.is_none() {
            return Try::Out;
        }
        // The archive may have been moved meanwhile.
        let now = match home(case, key).await {
            Ok((now, host)) => {
                session.goes_to(&host.id);
                now
            }
            Err(without) => return without,
        };
        // The turn was for the former home.
        turn = turn.filter(|_| now.host() == permit.host());
        permit = now;
    }
    let lease = match server.router.lease(&permit, Service::Imap) {
        Ok(lease) => lease,
        Err(why) => return unavailable(why),
    };
    match log_in(case, (&permit, &permit), lease, turn).await {
        Try::Referred(referral) => Box::pin(follow(case, &permit, referral)).await,
        tried => tried,
    }
}

/// Follows the referral of a host to others. The directory's entry is out of date: that is reported, and mended if the
/// operator wants it so.
async fn follow(case: &Case<'_>, permit: &Permit, mut referral: Referral) -> Try {
    let Case { prelogin, session, .. } = case;
    let router = &prelogin.server.router;
    let mut seen = vec![permit.host().to_owned()];
    while seen.len() <= REFERRALS {
        let Some(host) = router.host_at(&referral) else {
            // The host has refused the login, and where it thinks that the user is says nothing to anybody here.
            tracing::error!(
                user = %permit.key(),
                ?seen,
                to = referral.host,
                "a host refers to one that is not configured"
            );
            return match case.voice {
                Some(_) => Try::RefusedAtFirst,
                None => Try::Refused(Refusal::with(Code::AuthenticationFailed)),
            };
        };
        if seen.iter().any(|seen| *seen == host.config.name) {
            tracing::error!(user = %permit.key(), ?seen, to = host.config.name, "hosts refer to each other");
            return Try::Hopeless;
        }
        seen.push(host.config.name.clone());
        let referred = permit.referred_to(&host.config.name);
        session.goes_to(&host.id);
        let Ok(lease) = router.lease(&referred, Service::Imap) else { return Try::Out };
        match log_in(case, (permit, &referred), lease, None).await {
            Try::Referred(next) => referral = next,
            tried => {
                if let Try::LoggedIn(..) = &tried {
                    // What others do for a user says nothing of where the user is.
                    let is_own = session.about.names.is_none() && matches!(permit.key(), ArchiveKey::User(_));
                    router.note_stale(permit, &host.config.name, is_own).await;
                }
                return tried;
            }
        }
    }
    tracing::error!(user = %permit.key(), ?seen, "too many referrals");
    Try::Hopeless
}

/// A host that has just come back takes logins in order of arrival, and more at a time the more have succeeded. `None`
/// if this one's turn does not come in time.
async fn wait_for_turn(
    prelogin: &PreLogin,
    host: &Host,
    (come, until): (Instant, Instant),
    slot: &mut Option<Slot>,
) -> Option<UnderWay> {
    if slot.is_none() {
        *slot = Slot::take(&prelogin.server.held_logins, Some(prelogin.snapshot().limits.held_logins));
    }
    let waiting = timeout_at(until.max(Instant::now() + TURN), host.standing.logins.turn(come));
    slot.as_ref()?;
    waiting.await.ok()
}

async fn log_in(
    case: &Case<'_>,
    // What was decided, and for the host that is asked: another one after a referral.
    (decided, permit): (&Permit, &Permit),
    lease: Lease<Host>,
    turn: Option<UnderWay>,
) -> Try {
    let Case { prelogin, claim, session, .. } = case;
    let (server, host) = (&prelogin.server, lease.backend().clone());
    let credential = match at_host(case, &host, permit).await {
        Ok(credential) => credential,
        Err(without) => return without,
    };
    let tried = Instant::now();
    // Each of them where it is awaited: otherwise it would be moved there.
    let answered = match &case.voice {
        None => pass_on(case, &host, &credential, tried).await,
        Some(voice) => {
            let answering = Box::pin(pass_on(case, &host, &credential, tried));
            match Box::pin(in_time(case, voice, &host.config.name, tried, answering)).await {
                Ok(answered) => answered,
                Err(tried) => return tried,
            }
        }
    };
    let Some(answered) = answered else { return Try::Out };
    if let Some(gave_up) = case.voice.as_ref().and_then(Voice::gave_up) {
        return Try::GaveUp(gave_up);
    }
    let has_spoken = case.voice.as_ref().is_some_and(Voice::has_spoken);
    match answered {
        Ok(LoginOutcome::Accepted(logged_in)) => {
            turn.inspect(UnderWay::taken);
            // Before it is asked whether the permit stands: whoever moves the archive holds it first, and then looks for
            // sessions that are joined, so that one of the two sees the other.
            session.note_joined(true);
            if !server.router.stands(decided).await {
                // The archive was held or moved while the host was deciding.
                session.note_joined(false);
                logged_in.leave().await;
                return if has_spoken { Try::Hopeless } else { Try::Out };
            }
            Try::LoggedIn(logged_in, lease)
        }
        Ok(LoginOutcome::Refused { referral: Some(referral), .. }) if !has_spoken => Try::Referred(referral),
        Ok(LoginOutcome::Refused { referral: Some(referral), .. }) => {
            tracing::warn!(user = %permit.key(), host = host.config.name, to = referral.host, "a host refers to another one, too late");
            Try::Hopeless
        }
        // Another host would perhaps not refuse it.
        Ok(LoginOutcome::Refused { .. }) if !server.router.stands_though_refused(decided).await => {
            if has_spoken {
                Try::Hopeless
            } else {
                Try::Out
            }
        }
        Ok(LoginOutcome::Refused { code, alert, why, .. }) => {
            why.iter().for_each(|why| server.whys.note(&host.config.name, claim.mechanism, why));
            let is_first = case.voice.is_some() && !has_spoken;
            if is_first { Try::RefusedAtFirst } else { Try::Refused(Refusal { code, alert, why }) }
        }
        // What a host does not understand, a client has made up.
        Err(LoginFault { fault: ConnectFault { cause: Cause::Protocol(Fault::Bad), .. }, .. })
            if case.voice.is_some() =>
        {
            match has_spoken {
                true => Try::Refused(Refusal::with(Code::AuthenticationFailed)),
                false => Try::RefusedAtFirst,
            }
        }
        Err(_) if case.voice.as_ref().is_some_and(Voice::is_rejected) => Try::RefusedAtFirst,
        // The client could not begin again with another connection.
        Err(_) if has_spoken => Try::Hopeless,
        Err(fault) => failed(prelogin, &host, &fault),
    }
}

/// Gives a host the credential, and what client and host say to each other; `None`: it cannot be reached.
async fn pass_on(
    case: &Case<'_>,
    host: &Host,
    credential: &Credential,
    tried: Instant,
) -> Option<Result<LoginOutcome, LoginFault>> {
    let Case { prelogin, claim, .. } = case;
    let server = &prelogin.server;
    let target = host.services.mail(Service::Imap)?;
    let deadlines = Deadlines::from(&prelogin.snapshot().limits);
    let id = prelogin.id.to_string();
    let certificate = case.certificate.as_deref().filter(|_| credential.proof == Proof::Certificate);
    let name = std::str::from_utf8(&credential.user).unwrap_or_default();
    let on_behalf = OnBehalf {
        source: prelogin.client,
        destination: prelogin.local,
        session: &id,
        certificate: certificate.map(|der| ShownCertificate { version: case.tls, name, der }),
    };
    let opened = connect::open(target, on_behalf, &deadlines, &server.observer).await;
    server.health.note_session(&host.id, Service::Imap, opened.as_ref().map(|_| ()));
    let ready = opened.ok()?;
    tracing::debug!(client = %prelogin.client, session = %prelogin.id, host = host.config.name, "connected to the host");
    let begun = Instant::now();
    if case.voice.is_none() {
        case.expose();
    }
    let answered = match &case.voice {
        None => ready.log_in(target, credential, &claim.client_id, Some(on_behalf), &deadlines).await,
        Some(voice) => {
            let relayed = Relayed {
                known: &server.conversations,
                voice,
                host: &host.config.name,
                mechanism: claim.mechanism,
                client_first: claim.credential.password.reveal(),
                begun: tried,
                attempt: case.attempt.get().map(Box::as_ref),
            };
            ready.converse(target, credential, &claim.client_id, Some(on_behalf), &deadlines, &relayed).await
        }
    };
    let took = begun.elapsed();
    server.metrics.stage("login", took);
    case.note_answer(&host.config.name, answered.is_ok(), took);
    tracing::debug!(
        client = %prelogin.client,
        session = %prelogin.id,
        host = host.config.name,
        accepted = matches!(answered, Ok(LoginOutcome::Accepted(_))),
        seconds = took.as_secs_f64(),
        "the host has answered"
    );
    Some(answered)
}

/// The credential for a host; `Err` is the result if there is none that it could take.
async fn at_host<'c>(case: &Case<'c>, host: &Host, permit: &Permit) -> Result<Cow<'c, Credential>, Try> {
    let Case { prelogin, claim, .. } = case;
    let key = permit.key();
    if case.voice.is_some() {
        // The name is signed as it is.
        let is_as_typed = |login: &str| login.as_bytes() == claim.credential.user;
        if host.config.login_as != LoginAs::Typed || permit.login().is_some_and(|login| !is_as_typed(login)) {
            return Err(Try::Hopeless);
        }
        // Whose salt it is would say whether the archive exists that somebody else is to open.
        let domains = &prelogin.snapshot().domains;
        let own = domains.named(&claim.credential.user, case.arrival());
        let is_own = own.is_some_and(|own| own.says == Says::Own && own.key == *key);
        if claim.credential.acts_for_another() || !is_own {
            return Err(Try::Unknown);
        }
    }
    let credential = credential_for(prelogin, host, claim, key, permit.login());
    if credential.proof != Proof::Certificate {
        return Ok(credential);
    }
    if let Some(master) = &host.config.external {
        // Only the host could say who may act for whom.
        if credential.acts_for_another() {
            return Err(Try::Unknown);
        }
        let (file, origin) = (master.password_file.clone(), host.origin.clone());
        let secrets_dir = prelogin.snapshot().admin.secrets_dir.clone();
        let read = spawn_blocking(move || secret::read(&file, &origin, secrets_dir.as_deref())).await;
        let password = match read {
            Ok(Ok(password)) => password,
            Ok(Err(error)) => {
                tracing::error!(host = host.config.name, %error, "users cannot be let in by their certificates");
                return Err(Try::Out);
            }
            Err(_) => return Err(Try::Out),
        };
        let mut by_master = Credential::with_password(master.user.clone().into_bytes(), password);
        by_master.authorize_as.clone_from(&credential.user);
        return Ok(Cow::Owned(by_master));
    }
    // Without it, the host would take usher's own certificate for the user's.
    let mail = host.services.mail(Service::Imap);
    let is_told = mail.is_some_and(|mail| mail.endpoint.tells_certificates());
    if is_told && case.certificate.is_some() { Ok(credential) } else { Err(Try::Hopeless) }
}

/// What an unanswered login means for another attempt.
fn failed(prelogin: &PreLogin, host: &Host, LoginFault { fault, is_delivered }: &LoginFault) -> Try {
    if *is_delivered {
        // An error after the credential was sent says nothing about the host.
        tracing::warn!(
            session = %prelogin.id,
            host = host.config.name.as_str(),
            cause = %fault,
            "login without an answer"
        );
        return match fault.cause {
            Cause::Protocol(Fault::Bye)
            | Cause::Closed
            | Cause::Io(_)
            | Cause::Unavailable("UNAVAILABLE") => Try::Unanswered,
            _ => Try::Hopeless,
        };
    }
    prelogin.server.observer.connect_failed(&host.config.name, fault);
    match fault.cause {
        Cause::Protocol(Fault::Bad | Fault::NoMechanism) => Try::Hopeless,
        _ => Try::Out,
    }
}
