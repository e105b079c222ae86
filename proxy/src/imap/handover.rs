//! From a claim to a joined session: whose archive, which host, and the host's word on it.

use super::prelogin::PreLogin;
use crate::log::login_refused;
use crate::relay::Streams;
use crate::session::{About, By, Cause as EndCause, Ended, Entry, Session, Stage, Why};
use crate::slot::Slot;
use crate::tls::ClientStream;
use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::time::{Instant, sleep, timeout_at};
use usher_backends::connect::{self, Cause, Deadlines, LoggedIn, LoginFault, LoginOutcome, OnBehalf};
use usher_backends::roster::{Host, Lease, Service, Unavailable, UnderWay};
use usher_config::snapshot::LoginAs;
use usher_policy::ArchiveKey;
use usher_policy::identity::Arrival;
use usher_policy::route::{Decision, Permit};
use usher_wire::imap::login::{self, Fault};
use usher_wire::imap::preauth::{Claim, Preauth};
use usher_wire::imap::reply::Code;
use usher_wire::imap::sasl::Credential;
use usher_wire::imap::tracker::Tracker;
use zeroize::Zeroize;

/// A client and its host, the login proven.
pub(crate) struct Joined {
    pub(crate) session: Entry,
    pub(crate) lease: Lease<Host>,
    pub(crate) streams: Box<Streams<Tracker>>,
}

/// What became of a claim.
pub(crate) enum Handover {
    /// The host took it.
    Joined(Box<Joined>),
    /// It is refused, perhaps with a word of the host's for the user; the client may try again.
    Refused(Refusal, Preauth, ClientStream),
    /// The home host is out, for as long as a login may wait.
    Outage(Preauth, ClientStream),
    /// An operator ends it: the home host is stopped, or the session, or usher.
    Ended(By, EndCause, ClientStream),
}

/// What the client is told of a login that was refused.
pub(crate) struct Refusal {
    pub(crate) code: Code,
    /// The host's own words.
    pub(crate) alert: Option<String>,
}

/// Least time for a turn at a host that has come back: nobody is sent away while it takes those before.
const TURN: Duration = Duration::from_secs(10);

/// What one try came to.
enum Try {
    LoggedIn(Box<LoggedIn>, Lease<Host>),
    Refused(Refusal),
    Unknown,
    /// Somebody ends it.
    Ended(Why),
    Out,
    /// Out, and another try with the same credential would come to the same, or be one login too many.
    Hopeless,
    /// The host has had the credential and could not say anything of it; it may be asked once more.
    Unanswered,
}

impl Try {
    /// A word of a closed set, for metrics.
    fn result(&self) -> &'static str {
        match self {
            Self::LoggedIn(..) => "ok",
            Self::Refused(_) => "refused",
            Self::Unknown => "unknown-user",
            Self::Ended(_) => "ended",
            Self::Out | Self::Hopeless | Self::Unanswered => "unavailable",
        }
    }
}

/// Takes `claim` to the host that the directory names, waiting for the host as long as a login may wait.
pub(crate) async fn hand_over(
    door: &PreLogin,
    claim: &Claim,
    mut preauth: Preauth,
    mut stream: ClientStream,
) -> Result<Handover, Ended> {
    let begun = Instant::now();
    let arrival = Arrival { local: Some(door.local.ip()), server_name: stream.server_name() };
    let key = door.snapshot().domains.user(claim.credential.acting_user(), arrival);
    // In the table before the host is looked up: whoever ends sessions misses none that is being set up.
    let session = door.server.sessions.enter(About {
        id: door.id,
        protocol: door.protocol(),
        listener: door.at.name.clone(),
        client: door.client,
        user: key.as_ref().map(ToString::to_string).unwrap_or_default().into(),
        tls: stream.tls_version(),
    });
    let outcome = {
        let seeking = seek(door, claim, key.as_ref(), &session, begun);
        tokio::pin!(seeking);
        attended(door, &session, &mut stream, &mut preauth, seeking).await
    };
    door.note_tried(&session.about.user, session.backend().map(|backend| backend.name));
    let metrics = &door.server.metrics;
    let counted = outcome.as_ref().map_or("aborted", Try::result);
    metrics.login(door.protocol(), claim.mechanism.name(), counted, begun.elapsed());
    let refused = |code| log_refused(door, claim, key.as_ref(), code);
    match outcome? {
        Try::LoggedIn(logged_in, lease) => {
            Ok(Handover::Joined(join(door, claim, preauth, stream, *logged_in, lease, session)))
        }
        Try::Refused(refusal) => {
            refused(refusal.code);
            Ok(Handover::Refused(refusal, preauth, stream))
        }
        Try::Unknown => {
            let refusal = Refusal { code: Code::AuthenticationFailed, alert: None };
            refused(refusal.code);
            Ok(Handover::Refused(refusal, preauth, stream))
        }
        Try::Ended(why) => {
            let (by, cause) = EndCause::ordered(why);
            Ok(Handover::Ended(by, cause, stream))
        }
        Try::Out | Try::Hopeless | Try::Unanswered => Ok(Handover::Outage(preauth, stream)),
    }
}

/// Runs `work` while the client is watched: what it sends meanwhile is kept for later, and when it goes away
/// the work ends with it, as it does when the session is ended or usher stops.
async fn attended(
    door: &PreLogin,
    session: &Session,
    stream: &mut ClientStream,
    preauth: &mut Preauth,
    mut work: impl Future<Output = Try> + Unpin,
) -> Result<Try, Ended> {
    loop {
        let mut buf = [0; 1024];
        let most = preauth.room().min(buf.len());
        let read = tokio::select! {
            biased;
            done = &mut work => return Ok(done),
            () = door.server.shutdown.stopped() => return Ok(Try::Ended(Why::Stopping)),
            order = session.ordered() => return Ok(Try::Ended(order.why)),
            read = stream.read(&mut buf[..most]), if most > 0 => read,
        };
        match read {
            Ok(0) => return Err(Ended::new(By::Client, Stage::Login, EndCause::Closed)),
            Ok(read) => {
                preauth.feed(&buf[..read]);
                buf[..read].zeroize();
            }
            Err(error) => return Err(Ended::broken(Stage::Login, &error)),
        }
    }
}

/// Tries until there is a clear answer or a login may wait no longer.
async fn seek(
    door: &PreLogin,
    claim: &Claim,
    key: Option<&ArchiveKey>,
    session: &Session,
    begun: Instant,
) -> Try {
    let server = &door.server;
    let until = begun + door.snapshot().server.login_wait;
    let mut place = None;
    let mut was_delivered = false;
    loop {
        let tried = Instant::now();
        let outcome = match key {
            Some(key) => Box::pin(attempt(door, claim, key, session, (begun, until), &mut place)).await,
            None => Try::Unknown,
        };
        match outcome {
            Try::Unknown => {
                server.refusals.made_up(claim.credential.acting_user(), tried).await;
                return Try::Unknown;
            }
            // Each of them is a failed login to the host: the second is the last.
            Try::Unanswered if was_delivered => return Try::Hopeless,
            Try::Unanswered => was_delivered = true,
            Try::Refused(Refusal { code: Code::InUse, .. }) if !was_delivered => was_delivered = true,
            Try::Refused(refusal) => {
                let host = session.backend().map(|backend| backend.name);
                server.refusals.real(host.as_deref().unwrap_or_default(), tried).await;
                return Try::Refused(refusal);
            }
            Try::Hopeless => return Try::Out,
            Try::Out => {}
            clear => return clear,
        }
        let again = Instant::now() + door.snapshot().limits.retry;
        if again >= until {
            sleep(until.saturating_duration_since(Instant::now())).await;
            return Try::Out;
        }
        if place.is_none() {
            place = Slot::take(&server.held_logins, Some(door.snapshot().limits.held_logins));
            if place.is_none() {
                return Try::Out;
            }
        }
        tokio::select! {
            () = tokio::time::sleep_until(again) => {}
            // The host may be back.
            () = server.fleet.changed(), if !was_delivered => {}
        }
    }
}

/// Where the archive of `key` is to be used; `Err` says what becomes of the login without that.
fn home(door: &PreLogin, key: &ArchiveKey) -> Result<(Permit, Arc<Host>), Try> {
    let permit = match door.server.router.decide(key) {
        Decision::Permitted(permit) => permit,
        Decision::Nobody => return Err(Try::Unknown),
        Decision::Outage(_) => return Err(Try::Out),
    };
    let host = door.server.router.host(&permit).ok_or(Try::Out)?;
    Ok((permit, host))
}

/// One try: directory, lease, connection, login.
async fn attempt(
    door: &PreLogin,
    claim: &Claim,
    key: &ArchiveKey,
    session: &Session,
    (come, until): (Instant, Instant),
    place: &mut Option<Slot>,
) -> Try {
    let server = &door.server;
    let (mut permit, mut host) = match home(door, key) {
        Ok(home) => home,
        Err(without) => return without,
    };
    session.goes_to(&host.id);
    // A host that has just come back takes logins in the order of coming, and more at a time the more it has taken.
    let mut turn = None;
    if host.standing.share(Service::Imap) < 1.0 && host.standing.serves(Service::Imap) {
        if place.is_none() {
            *place = Slot::take(&server.held_logins, Some(door.snapshot().limits.held_logins));
        }
        let waiting = timeout_at(until.max(Instant::now() + TURN), host.standing.logins.turn(come));
        let (Some(_), Ok(taken)) = (place.as_ref(), waiting.await) else { return Try::Out };
        turn = Some(taken);
        // The archive may have been moved meanwhile, and the host is as it is now.
        (permit, host) = match home(door, key) {
            Ok(home) => home,
            Err(without) => return without,
        };
        session.goes_to(&host.id);
    }
    let lease = match server.router.lease(&permit, Service::Imap) {
        Ok(lease) => lease,
        Err(Unavailable::Stopped) => return Try::Ended(Why::Stopped),
        Err(Unavailable::Draining | Unavailable::Unhealthy | Unavailable::Full | Unavailable::Gone) => {
            return Try::Out;
        }
    };
    let deadlines = Deadlines::from(&door.snapshot().limits);
    let id = door.id.to_string();
    let on_behalf = OnBehalf { source: door.client, destination: door.local, session: &id };
    let opened = connect::open(&host.imap, on_behalf, &deadlines, &server.observer).await;
    server.health.note_session(&host.id, Service::Imap, opened.as_ref().map(|_| ()));
    let Ok(ready) = opened else { return Try::Out };
    let credential = credential_for(door, &host, claim, key);
    let begun = Instant::now();
    let answered = ready.log_in(&host.imap, &credential, &claim.client_id, Some(on_behalf), &deadlines).await;
    server.metrics.stage("login", begun.elapsed());
    match answered {
        Ok(LoginOutcome::Accepted(logged_in)) => {
            turn.inspect(UnderWay::taken);
            if !server.router.stands(&permit) {
                // It was held or moved while the host made up its mind.
                logged_in.leave().await;
                return Try::Out;
            }
            Try::LoggedIn(logged_in, lease)
        }
        Ok(LoginOutcome::Refused { code, alert }) => Try::Refused(Refusal { code, alert }),
        Err(LoginFault { fault, is_delivered: true }) => {
            // A word on a credential says nothing of the host.
            tracing::warn!(
                session = %door.id,
                host = host.config.name.as_str(),
                cause = %fault,
                "login without an answer"
            );
            match fault.cause {
                Cause::Protocol(Fault::Bye)
                | Cause::Closed
                | Cause::Io(_)
                | Cause::Unavailable("UNAVAILABLE") => Try::Unanswered,
                _ => Try::Hopeless,
            }
        }
        Err(LoginFault { fault, is_delivered: false }) => {
            server.observer.connect_failed(&host.config.name, &fault);
            match fault.cause {
                Cause::Protocol(Fault::Bad | Fault::NoMechanism) => Try::Hopeless,
                _ => Try::Out,
            }
        }
    }
}

/// The credential under the name that the host is to be given. Whoever asks to act as themself acts for nobody else,
/// and any host takes that.
fn credential_for<'c>(
    door: &PreLogin,
    host: &Host,
    claim: &'c Claim,
    key: &ArchiveKey,
) -> Cow<'c, Credential> {
    let typed = &claim.credential;
    let own_key = || {
        let arrival = Arrival { local: Some(door.local.ip()), server_name: None };
        door.snapshot().domains.user(&typed.user, arrival)
    };
    let acts_for_another = typed.acts_for_another() && own_key().as_ref() != Some(key);
    if host.config.login_as == LoginAs::Typed && (acts_for_another || typed.authorize_as.is_empty()) {
        return Cow::Borrowed(typed);
    }
    let mut credential = typed.clone();
    if host.config.login_as == LoginAs::Canonical {
        let name = if acts_for_another { &mut credential.authorize_as } else { &mut credential.user };
        *name = key.name().as_bytes().to_vec();
    }
    if !acts_for_another {
        credential.authorize_as.clear();
    }
    Cow::Owned(credential)
}

fn join(
    door: &PreLogin,
    claim: &Claim,
    preauth: Preauth,
    stream: ClientStream,
    logged_in: LoggedIn,
    lease: Lease<Host>,
    session: Entry,
) -> Box<Joined> {
    let (client, id) = (door.client, door.id);
    tracing::info!(
        %client,
        session = %id,
        user = &*session.about.user,
        host = lease.backend().config.name,
        mechanism = claim.mechanism.name(),
        tls = stream.tls_version(),
        "login"
    );
    let accepted = logged_in.accepted;
    let mut to_client = Vec::new();
    login::hand_over(&claim.tag, claim.asked_capability, &accepted, &mut to_client);
    let streams = Streams {
        client: stream,
        backend: logged_in.stream,
        follower: Tracker::default(),
        to_client,
        from_client: preauth.into_leftover().to_vec(),
        from_backend: accepted.leftover,
    };
    Box::new(Joined { session, lease, streams: Box::new(streams) })
}

/// One line that a log watcher can match: the address stands before anything that a client chose.
fn log_refused(door: &PreLogin, claim: &Claim, key: Option<&ArchiveKey>, code: Code) {
    let typed = String::from_utf8_lossy(claim.credential.acting_user());
    let user = key.map_or(typed.as_ref(), ArchiveKey::name);
    login_refused(door.client, door.id, code, claim.mechanism.name(), user);
}
