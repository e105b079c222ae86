//! From a claim to a session at a host, or to an answer for the client.

use super::PreLogin;
use super::attend::attended;
use super::case::Case;
use super::guarded::guarded;
use super::inbox::Inbox;
use super::token;
use super::tried::{Refusal, Try};
use super::voice::{self, GaveUp, Voice};
use crate::access::Visit;
use crate::guessing::Place;
use crate::log::login_refused;
use crate::session::{About, By, Cause, Ended, Entry, Session};
use crate::spans::{self, Told};
use crate::tls::ClientStream;
use std::sync::OnceLock;
use std::time::Duration;
use tokio::time::Instant;
use usher_backends::connect;
use usher_backends::roster::{Host, Lease};
use usher_config::Snapshot;
use usher_policy::ArchiveKey;
use usher_policy::access::Name;
use usher_policy::identity::{Arrival, Domains, Named, Says};
use usher_wire::imap::preauth::Claim;
use usher_wire::imap::reply::Code;

/// Longest time that a client may take to answer in a conversation: nobody has to be asked for anything.
const PATIENCE: Duration = Duration::from_secs(10);

/// A client whose login was accepted by its host.
pub(crate) struct LoggedIn {
    pub(crate) session: Entry,
    pub(crate) lease: Lease<Host>,
    /// The connection to the host, and what it said.
    pub(crate) backend: Box<connect::LoggedIn>,
    /// Its place, where sessions are limited.
    pub(crate) place: Option<Place>,
}

/// What became of a claim.
pub(crate) enum Handover {
    /// The host accepted it.
    LoggedIn(LoggedIn),
    /// It is refused, perhaps with a message from the host for the user; the client may try again.
    Refused(Refusal),
    /// The client has given up.
    Cancelled,
    /// The home host has been unavailable for as long as a login may wait.
    Outage,
    /// An operator ends it: the home host, the session, or usher is being stopped.
    Ended(By, Cause),
}

/// Takes `claim` to the host that the directory names, waiting for the host as long as a login may wait. What the
/// client sends meanwhile goes into `inbox`.
pub(crate) async fn hand_over(
    prelogin: &PreLogin,
    claim: &Claim,
    inbox: &mut impl Inbox,
    stream: &mut ClientStream,
) -> Result<Handover, Ended> {
    let begun = Instant::now();
    let arrival = Arrival { local: Some(prelogin.local.ip()), server_name: stream.server_name() };
    let snapshot = prelogin.snapshot();
    let domains = &snapshot.domains;
    let named = domains.named(claim.credential.acting_user(), arrival);
    let names = shown(domains, claim, named.as_ref(), arrival);
    let key = named.map(|named| named.key);
    // In the table before the host is looked up, so that whoever ends sessions misses none that is being set up.
    let session = prelogin.server.sessions.enter(About {
        id: prelogin.id,
        protocol: prelogin.protocol(),
        listener: prelogin.at.name.clone(),
        client: prelogin.client,
        user: key.as_ref().map(ToString::to_string).unwrap_or_default().into(),
        tls: stream.tls_version(),
        names,
        mechanism: Some(claim.mechanism.rule_name()),
        has_certificate: stream.client_certificate().is_some(),
    });
    let (outcome, place) = sought(prelogin, claim, key.as_ref(), &session, inbox, stream, begun).await;
    note(prelogin, claim, &session, &outcome, begun);
    let refused = |refusal: Refusal| {
        log_refused(prelogin, claim, key.as_ref(), refusal.code);
        // Always, or whoever is not told would be known by that.
        let is_told = claim.mechanism.tells_why() && refusal.code == Code::AuthenticationFailed;
        let whose = session.about.user.as_bytes();
        let made_up = || is_told.then(|| prelogin.server.whys.made_up(whose, claim.mechanism));
        let why = refusal.why.or_else(made_up);
        let why = why.map(|why| token::with_issuer(why, key.as_ref(), &snapshot.oauth));
        Handover::Refused(Refusal { why, ..refusal })
    };
    Ok(match outcome? {
        Try::LoggedIn(backend, lease) => {
            prelogin.server.router.remembered.note(Visit::of(&session), false);
            tracing::info!(
                client = %prelogin.client,
                session = %prelogin.id,
                user = &*session.about.user,
                host = lease.backend().config.name,
                mechanism = claim.mechanism.name(),
                tls = stream.tls_version(),
                "login"
            );
            Handover::LoggedIn(LoggedIn { session, lease, backend, place })
        }
        Try::Refused(refusal) => refused(refusal),
        Try::GaveUp(GaveUp::Cancelled) => Handover::Cancelled,
        Try::GaveUp(GaveUp::Silent) => Handover::Ended(By::Usher, Cause::Idle),
        Try::HeldOff => Handover::Refused(Refusal::with(Code::HeldOff)),
        Try::Denied => refused(Refusal::with(Code::ContactAdmin)),
        Try::Unknown | Try::DeniedCovertly | Try::RefusedAtFirst | Try::AnsweredFor => {
            refused(Refusal::with(Code::AuthenticationFailed))
        }
        Try::Ended(why) => {
            let (by, cause) = Cause::ordered(why);
            Handover::Ended(by, cause)
        }
        Try::Out | Try::Hopeless | Try::Unanswered | Try::Referred(_) => Handover::Outage,
    })
}

/// Counts, and tells those who watch, what has come of a login that has begun at `begun`.
fn note(prelogin: &PreLogin, claim: &Claim, session: &Session, outcome: &Result<Try, Ended>, begun: Instant) {
    let host = match outcome {
        Ok(Try::LoggedIn(_, lease)) => lease.backend().id.name.clone(),
        _ => {
            let host = session.backend().map(|backend| backend.name).unwrap_or_default();
            prelogin.note_tried(&session.about.user, host.clone());
            host
        }
    };
    let (metrics, took) = (&prelogin.server.metrics, begun.elapsed());
    let counted = outcome.as_ref().map_or("aborted", Try::result);
    metrics.login(prelogin.protocol(), claim.mechanism.name(), counted, took);
    if let Some(span) = spans::begin("login", begun, None) {
        span.end(&Told { session: &prelogin.id, host: &host, result: counted, status: None, method: None });
    }
    // Whoever is refused has been made to wait.
    if matches!(outcome, Ok(Try::LoggedIn(..) | Try::Out | Try::Hopeless | Try::Unanswered)) {
        prelogin.tell_if_slow("login", &host, &session.about.user, took);
    }
}

/// What comes of a login that has begun at `begun`, and its place where sessions are limited.
async fn sought(
    prelogin: &PreLogin,
    claim: &Claim,
    key: Option<&ArchiveKey>,
    session: &Session,
    inbox: &mut impl Inbox,
    stream: &mut ClientStream,
    begun: Instant,
) -> (Result<Try, Ended>, Option<Place>) {
    let snapshot = prelogin.snapshot();
    tracing::debug!(
        client = %prelogin.client,
        session = %prelogin.id,
        user = &*session.about.user,
        mechanism = claim.mechanism.name(),
        tls = stream.tls_version(),
        "a client logs in"
    );
    let (voice, ear) = match claim.mechanism.is_conversation() {
        true => Some(voice::pair(PATIENCE.min(snapshot.limits.backend_login))).unzip(),
        false => (None, None),
    };
    let certificate = stream.client_certificate().map(|shown| shown.clone().into_owned());
    let case = Case {
        prelogin,
        claim,
        key,
        session,
        voice,
        certificate,
        tls: stream.tls_version(),
        cipher_suite: stream.cipher_suite(),
        server_name: stream.server_name().map(str::to_owned),
        attempt: OnceLock::new(),
    };
    let outcome = {
        let seeking = async {
            match is_allowed(snapshot, key, session.about.names.as_deref(), claim) {
                true => guarded(&case, begun).await,
                false => Try::Denied,
            }
        };
        tokio::pin!(seeking);
        attended(prelogin, session, stream, inbox, ear, seeking).await
    };
    prelogin.note_waited(case.voice.as_ref().map(Voice::waited).unwrap_or_default());
    let attempt = case.attempt.get();
    if outcome.is_err() && attempt.is_some_and(|attempt| attempt.is_exposed()) {
        // Whoever leaves before a refusal that a host delays has learnt what it says.
        log_refused(prelogin, claim, key, Code::AuthenticationFailed);
    }
    let place = attempt.and_then(|attempt| attempt.take_place());
    (outcome, place)
}

/// Whether everybody whom the login shows may log in like this.
fn is_allowed(snapshot: &Snapshot, key: Option<&ArchiveKey>, names: Option<&[Name]>, claim: &Claim) -> bool {
    if snapshot.domain_mechanisms.is_empty() {
        return true;
    }
    let own = match key.and_then(ArchiveKey::domain) {
        Some(ArchiveKey::Domain(domain)) => Some(domain),
        _ => None,
    };
    let shown = names.into_iter().flatten().filter_map(|name| name.domain().map(str::to_owned));
    let domains: Vec<String> = own.into_iter().chain(shown).collect();
    let rule_name = claim.mechanism.rule_name();
    let mut limited = snapshot.domain_mechanisms.iter().filter(|limited| domains.contains(&limited.domain));
    limited.all(|limited| limited.mechanisms.iter().any(|allowed| allowed.rule_name() == rule_name))
}

/// Everybody whom a claim shows; `None`: just the user whose archive it is.
fn shown(
    domains: &Domains,
    claim: &Claim,
    named: Option<&Named>,
    arrival: Arrival<'_>,
) -> Option<Box<[Name]>> {
    let credential = &claim.credential;
    let acts = credential.acts_for_another();
    if !acts && named.is_none_or(|named| named.says == Says::Own) {
        return None;
    }
    let mut names = domains.shown(credential.acting_user(), arrival);
    if acts {
        names.extend(domains.shown(&credential.user, arrival));
    }
    Some(names.into())
}

/// One line that a log watcher can match: the address comes before anything that a client chose.
fn log_refused(prelogin: &PreLogin, claim: &Claim, key: Option<&ArchiveKey>, code: Code) {
    let typed = String::from_utf8_lossy(claim.credential.acting_user());
    let user = key.map_or(typed.as_ref(), ArchiveKey::name);
    login_refused(prelogin.client, prelogin.id, code, claim.mechanism.name(), user);
}
