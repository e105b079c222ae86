//! From a claim to a joined session: whose archive, which host, and the host's word on it.

use super::door::{Door, Ended};
use crate::relay::Streams;
use crate::session::{By, Cause as EndCause, Entry, Stage};
use crate::tls::ClientStream;
use std::borrow::Cow;
use tokio::io::AsyncReadExt;
use tokio::time::{Instant, sleep};
use usher_backends::connect::{self, Cause, Deadlines, LoggedIn, LoginOutcome, OnBehalf};
use usher_backends::roster::{Host, Lease, Shut};
use usher_config::ArchiveKey;
use usher_config::domains::Arrival;
use usher_config::snapshot::LoginAs;
use usher_wire::imap::login::{self, Fault};
use usher_wire::imap::preauth::{Claim, Preauth};
use usher_wire::imap::reply::Code;
use usher_wire::imap::sasl::Credential;
use usher_wire::imap::tracker::Tracker;
use zeroize::Zeroize;

/// A client and its host, the login proven.
pub(crate) struct Joined {
    pub(crate) session: Entry,
    pub(crate) lease: Lease,
    /// The key's name, for the close record.
    pub(crate) user: Box<str>,
    pub(crate) streams: Box<Streams>,
}

/// What became of a claim.
pub(crate) enum Handover {
    /// The host took it.
    Joined(Box<Joined>),
    /// It is refused; the client may try again.
    Refused(Code, Preauth, ClientStream),
    /// The home host is out, for as long as a login may wait.
    Outage(Preauth, ClientStream),
    /// An operator holds the home host, or stops usher.
    Held(ClientStream),
}

/// What one try came to.
enum Try {
    LoggedIn(Box<LoggedIn>, Lease, Entry),
    Refused(Code),
    Unknown,
    Held,
    Out,
    /// Out, and another try with the same credential would come to the same.
    Hopeless,
}

/// Takes `claim` to the host that the directory names, waiting for the host as long as a login may wait.
pub(crate) async fn hand_over(
    door: &Door,
    claim: &Claim,
    mut preauth: Preauth,
    mut stream: ClientStream,
) -> Result<Handover, Ended> {
    let begun = Instant::now();
    let arrival = Arrival { local: Some(door.local.ip()), server_name: stream.server_name() };
    let key = door.shared.snapshot.domains.user(claim.credential.acting_user(), arrival);
    let outcome = {
        let seeking = seek(door, claim, key.as_ref(), begun);
        tokio::pin!(seeking);
        attended(door, &mut stream, &mut preauth, seeking).await?
    };
    let refused = |code| log_refused(door, claim, key.as_ref(), code);
    match outcome {
        Try::LoggedIn(logged_in, lease, session) => {
            let key = key.map(|key| key.to_string()).unwrap_or_default();
            Ok(Handover::Joined(join(door, claim, key, preauth, stream, *logged_in, lease, session)))
        }
        Try::Refused(code) => {
            door.shared.pace.note(begun.elapsed());
            refused(code);
            Ok(Handover::Refused(code, preauth, stream))
        }
        Try::Unknown => {
            refused(Code::AuthenticationFailed);
            Ok(Handover::Refused(Code::AuthenticationFailed, preauth, stream))
        }
        Try::Held => Ok(Handover::Held(stream)),
        Try::Out | Try::Hopeless => Ok(Handover::Outage(preauth, stream)),
    }
}

/// Runs `work` while the client is watched: what it sends meanwhile is kept for later, and when it goes away
/// the work ends with it, as it does when usher stops.
async fn attended(
    door: &Door,
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
            () = door.shared.stopped() => return Ok(Try::Held),
            read = stream.read(&mut buf[..most]), if most > 0 => read,
        };
        match read {
            Ok(0) => return Err(Ended::new(By::Client, Stage::Login, EndCause::Closed)),
            Ok(read) => {
                preauth.feed(&buf[..read]);
                buf.zeroize();
            }
            Err(error) => return Err(Ended::broken(Stage::Login, &error)),
        }
    }
}

/// Tries until there is a clear answer or a login may wait no longer.
async fn seek(door: &Door, claim: &Claim, key: Option<&ArchiveKey>, begun: Instant) -> Try {
    let shared = &door.shared;
    let until = begun + shared.snapshot.server.login_wait;
    let mut place = None;
    loop {
        let outcome = match key {
            Some(key) => attempt(door, claim, key).await,
            None => Try::Unknown,
        };
        match outcome {
            Try::Unknown => {
                // As long as a host would have taken to refuse a wrong password.
                tokio::time::sleep_until(begun + shared.pace.now()).await;
                return Try::Unknown;
            }
            Try::Hopeless => return Try::Out,
            Try::Out => {}
            clear => return clear,
        }
        let again = Instant::now() + shared.snapshot.limits.retry;
        if again >= until {
            sleep(until.saturating_duration_since(Instant::now())).await;
            return Try::Out;
        }
        if place.is_none() {
            place = shared.held_logins.try_acquire().ok();
            if place.is_none() {
                return Try::Out;
            }
        }
        tokio::time::sleep_until(again).await;
    }
}

/// One try: directory, lease, connection, login.
async fn attempt(door: &Door, claim: &Claim, key: &ArchiveKey) -> Try {
    let shared = &door.shared;
    let placement = match shared.directory.look_up(key) {
        Ok(Some(placement)) => placement,
        Ok(None) => return Try::Unknown,
        Err(error) => {
            tracing::error!(%error, "the directory cannot be read");
            return Try::Out;
        }
    };
    let Some(host) = shared.roster.host(&placement.host) else {
        tracing::error!(
            user = key.name(),
            host = placement.host.as_str(),
            "the directory names a host that is not configured"
        );
        return Try::Out;
    };
    let lease = match host.lease() {
        Ok(lease) => lease,
        Err(Shut::Held) => return Try::Held,
        Err(Shut::Full) => return Try::Out,
    };
    // In the table before the host is contacted; leaves it again unless the login succeeds.
    let entry = shared.sessions.enter(door.id);
    let deadlines = Deadlines::from(&shared.snapshot.limits);
    let id = door.id.to_string();
    let on_behalf = OnBehalf { source: door.client, destination: door.local, session: &id };
    let Ok(ready) = connect::open(host, on_behalf, &deadlines, &shared.observer).await else {
        return Try::Out;
    };
    let credential = credential_for(host, claim, key);
    match ready.log_in(host, &credential, &claim.client_id, on_behalf, &deadlines).await {
        Ok(LoginOutcome::Accepted(logged_in)) => Try::LoggedIn(logged_in, lease, entry),
        Ok(LoginOutcome::Refused(code)) => Try::Refused(code),
        Err(fault) => {
            shared.observer.connect_failed(&host.config.name, &fault);
            match fault.cause {
                Cause::Protocol(Fault::Bad | Fault::NoMechanism) => Try::Hopeless,
                _ => Try::Out,
            }
        }
    }
}

/// The credential under the name that the host is to be given.
fn credential_for<'c>(host: &Host, claim: &'c Claim, key: &ArchiveKey) -> Cow<'c, Credential> {
    match host.config.login_as {
        LoginAs::Typed => Cow::Borrowed(&claim.credential),
        LoginAs::Canonical => {
            let mut credential = claim.credential.clone();
            let canonical = key.name().as_bytes().to_vec();
            if credential.authorize_as.is_empty() || credential.authorize_as == credential.user {
                credential.user.clone_from(&canonical);
            }
            if !credential.authorize_as.is_empty() {
                credential.authorize_as = canonical;
            }
            Cow::Owned(credential)
        }
    }
}

#[allow(clippy::too_many_arguments)] // everything that a login has gathered, moved into the session
fn join(
    door: &Door,
    claim: &Claim,
    user: String,
    preauth: Preauth,
    stream: ClientStream,
    logged_in: LoggedIn,
    lease: Lease,
    session: Entry,
) -> Box<Joined> {
    let (client, id) = (door.client, door.id);
    tracing::info!(
        %client,
        session = %id,
        user = user.as_str(),
        host = lease.host().config.name,
        mechanism = claim.mechanism.name(),
        tls = stream.tls_version(),
        "login"
    );
    let accepted = logged_in.accepted;
    let tracker = Tracker::default();
    let mut to_client = Vec::new();
    login::hand_over(&claim.tag, claim.asked_capability, &accepted, &mut to_client);
    let streams = Streams {
        client: stream,
        backend: logged_in.stream,
        tracker,
        to_client,
        from_client: preauth.into_leftover().to_vec(),
        from_backend: accepted.leftover,
    };
    Box::new(Joined { session, lease, user: user.into_boxed_str(), streams: Box::new(streams) })
}

/// One line that a log watcher can match: the address stands before anything that a client chose.
fn log_refused(door: &Door, claim: &Claim, key: Option<&ArchiveKey>, code: Code) {
    let typed = String::from_utf8_lossy(claim.credential.acting_user());
    let user = key.map_or(typed.as_ref(), ArchiveKey::name);
    let shown: String = user.chars().take(320).collect();
    tracing::warn!(
        client = %door.client,
        session = %door.id,
        code = code.atom(),
        mechanism = claim.mechanism.name(),
        user = shown.as_str(),
        "login refused"
    );
}
