//! Talks to a backend, from its greeting to its answer to a login.

use super::{
    BackendStream, Cause, ConnectFault, Deadlines, Learnt, MailTarget, OnBehalf, Stage, read_once, tls,
};
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use usher_config::snapshot::{BackendTls, ClientAddress};
use usher_wire::imap::id::ClientId;
use usher_wire::imap::login::{Accepted, BackendDrained, Fault, Login, LoginStep, Opening, OpeningStep};
use usher_wire::imap::referral::Referral;
use usher_wire::imap::reply::{Code, Refused};
use usher_wire::imap::sasl::Credential;
use usher_wire::proxy_header::{self, Version};
use usher_wire::secret::SecretBuf;
use zeroize::Zeroizing;

/// How long a backend that is no longer needed may take to hear so.
const LOGOUT: Duration = Duration::from_millis(200);

/// A backend that has been authenticated and waits for a login.
pub struct Ready {
    stream: BackendStream,
    /// Its capabilities before login, space-separated.
    pub capabilities: Vec<u8>,
}

/// A backend that took the login.
pub struct LoggedIn {
    /// The connection.
    pub stream: BackendStream,
    /// What it said.
    pub accepted: Accepted,
}

/// A backend's answer to a login.
pub enum LoginOutcome {
    /// The claim is proven.
    Accepted(Box<LoggedIn>),
    /// The claim is refused. The client is told the code, and the user what the backend has to say to them.
    Refused {
        /// What the client is told.
        code: Code,
        /// The backend's own words; only if it has been authenticated.
        alert: Option<String>,
        /// The server that the user is said to be on.
        referral: Option<Referral>,
        /// Why a token is refused, as the backend says it to clients.
        why: Option<Vec<u8>>,
    },
}

/// A client that answers its backend's messages itself.
pub trait Conversation: Sync {
    /// What the client says to `challenge`; `None`: it gives up, or is gone.
    fn ask(&self, challenge: Vec<u8>) -> impl Future<Output = Option<Zeroizing<Vec<u8>>>> + Send;
}

/// Of a login that needs no conversation.
struct Mute;

impl Conversation for Mute {
    async fn ask(&self, _: Vec<u8>) -> Option<Zeroizing<Vec<u8>>> {
        None
    }
}

/// A backend did not answer a login, or says that it cannot serve.
#[derive(Debug, thiserror::Error)]
#[error("{fault}")]
pub struct LoginFault {
    /// What happened.
    pub fault: ConnectFault,
    /// The backend has the credential, so another attempt would be another login.
    pub is_delivered: bool,
}

/// From the TCP connection to a backend that waits for a login.
pub(super) async fn open(
    mut tcp: TcpStream,
    target: &MailTarget,
    on_behalf: Option<OnBehalf<'_>>,
    until: Instant,
) -> Result<Ready, ConnectFault> {
    let on_behalf = match on_behalf {
        Some(on_behalf) => on_behalf,
        None => own_addresses(&tcp).map_err(|error| ConnectFault::at(Stage::Dial, error))?,
    };
    send_proxy_header(&mut tcp, target.endpoint.client_address, on_behalf, until).await?;
    let stream = match (&target.tls, target.endpoint.tls) {
        (Some(config), BackendTls::Implicit) => {
            BackendStream::Tls(Box::pin(tls::handshake(tcp, &target.name, config, until)).await?)
        }
        (Some(config), BackendTls::StartTls) => {
            let mut stream = BackendStream::Plain(tcp);
            let proof = start_tls(&mut stream, until).await?;
            return upgraded(stream, proof, target, config, until).await;
        }
        (None, _) | (Some(_), BackendTls::None) => BackendStream::Plain(tcp),
    };
    ready(stream, Opening::new(false), Vec::new(), until).await
}

/// The addresses for a probe, which connects on its own behalf.
pub(super) fn own_addresses(tcp: &TcpStream) -> std::io::Result<OnBehalf<'static>> {
    Ok(OnBehalf {
        source: tcp.local_addr()?,
        destination: tcp.peer_addr()?,
        session: "probe",
        certificate: None,
    })
}

pub(super) async fn send_proxy_header(
    tcp: &mut TcpStream,
    how: ClientAddress,
    on_behalf: OnBehalf<'_>,
    until: Instant,
) -> Result<(), ConnectFault> {
    let version = match how {
        ClientAddress::ProxyV1 => Version::V1,
        ClientAddress::ProxyV2 => Version::V2,
        ClientAddress::None | ClientAddress::ImapId => return Ok(()),
    };
    let mut header = Vec::new();
    let OnBehalf { source, destination, session, certificate } = on_behalf;
    proxy_header::write(version, source, destination, session, certificate, &mut header);
    in_time(Stage::ProxyHeader, until, tcp.write_all(&header)).await
}

pub(super) async fn start_tls(
    stream: &mut BackendStream,
    until: Instant,
) -> Result<BackendDrained, ConnectFault> {
    let mut opening = Opening::new(true);
    match drive(stream, &mut opening, Vec::new(), until).await? {
        OpeningStep::StartTls(proof) => Ok(proof),
        OpeningStep::Need | OpeningStep::Ready(_) => {
            Err(ConnectFault::at(Stage::Greeting, Cause::Protocol(Fault::OutOfStep)))
        }
    }
}

async fn upgraded(
    stream: BackendStream,
    _proof: BackendDrained,
    target: &MailTarget,
    config: &std::sync::Arc<rustls::ClientConfig>,
    until: Instant,
) -> Result<Ready, ConnectFault> {
    let BackendStream::Plain(tcp) = stream else {
        return Err(ConnectFault::at(Stage::Greeting, Cause::Protocol(Fault::OutOfStep)));
    };
    let stream = BackendStream::Tls(Box::pin(tls::handshake(tcp, &target.name, config, until)).await?);
    let mut out = Vec::new();
    let opening = Opening::under_tls(&mut out);
    ready(stream, opening, out, until).await
}

async fn ready(
    mut stream: BackendStream,
    mut opening: Opening,
    out: Vec<u8>,
    until: Instant,
) -> Result<Ready, ConnectFault> {
    match drive(&mut stream, &mut opening, out, until).await? {
        OpeningStep::Ready(capabilities) => Ok(Ready { stream, capabilities }),
        OpeningStep::Need | OpeningStep::StartTls(_) => {
            Err(ConnectFault::at(Stage::Greeting, Cause::Protocol(Fault::OutOfStep)))
        }
    }
}

/// Sends `out` and continues until the opening has a result.
async fn drive(
    stream: &mut BackendStream,
    opening: &mut Opening,
    mut out: Vec<u8>,
    until: Instant,
) -> Result<OpeningStep, ConnectFault> {
    loop {
        if !out.is_empty() {
            send(stream, &out, Stage::Greeting, until).await?;
            out.clear();
        }
        receive(stream, |bytes| opening.feed(bytes), Stage::Greeting, until).await?;
        let step = opening.step(&mut out);
        match step.map_err(|fault| ConnectFault::at(Stage::Greeting, Cause::Protocol(fault)))? {
            OpeningStep::Need => {}
            done => return Ok(done),
        }
    }
}

impl LoggedIn {
    /// Says goodbye; whether it is heard does not matter.
    pub async fn leave(mut self) {
        leave(&mut self.stream).await;
    }
}

impl Ready {
    /// What has been learnt about the backend.
    pub fn learnt(&self) -> Learnt {
        Learnt {
            capabilities: Some(String::from_utf8_lossy(&self.capabilities).into_owned()),
            certificate_ends: self.stream.certificate_ends(),
        }
    }

    /// Passes `credential` on.
    ///
    /// # Errors
    /// [`LoginFault`] when the backend gives no clear answer or says that it cannot serve: that is an
    /// outage, not a wrong password.
    pub async fn log_in(
        self,
        target: &MailTarget,
        credential: &Credential,
        client_id: &ClientId,
        on_behalf: Option<OnBehalf<'_>>,
        deadlines: &Deadlines,
    ) -> Result<LoginOutcome, LoginFault> {
        self.converse(target, credential, client_id, on_behalf, deadlines, &Mute).await
    }

    /// Passes `credential` on, and what client and backend say to each other before the backend decides. The time that the
    /// client takes does not count.
    ///
    /// # Errors
    /// As [`Self::log_in`]; and when the client gives up.
    pub async fn converse(
        mut self,
        target: &MailTarget,
        credential: &Credential,
        client_id: &ClientId,
        on_behalf: Option<OnBehalf<'_>>,
        deadlines: &Deadlines,
        client: &impl Conversation,
    ) -> Result<LoginOutcome, LoginFault> {
        let mut until = Instant::now() + deadlines.login;
        let undelivered = |fault| LoginFault { fault, is_delivered: false };
        let wanted = target.endpoint.client_address == ClientAddress::ImapId;
        let told = on_behalf.filter(|_| wanted).map(ClientIdFields::new);
        let own_id = told.as_ref().map(ClientIdFields::fields).unwrap_or_default();
        let mut out = SecretBuf::default();
        let begun = Login::begin(&self.capabilities, credential, client_id, &own_id, &mut out);
        let mut login = begun.map_err(|fault| undelivered(in_login(fault)))?;
        // Without TLS, anybody may be answering.
        let is_authenticated = matches!(self.stream, BackendStream::Tls(_));
        loop {
            let stepped = next_step(&mut self.stream, &mut login, &mut out, until).await;
            let is_delivered = login.is_delivered();
            match stepped.map_err(|fault| LoginFault { fault, is_delivered })? {
                LoginStep::Need => {}
                LoginStep::Challenged(challenge) => {
                    let answer = client.ask(challenge).await;
                    login.answer(answer.as_ref().map(|answer| answer.as_slice()), &mut out);
                    if answer.is_none() {
                        let _ = send(&mut self.stream, &out, Stage::Login, Instant::now() + LOGOUT).await;
                        self.leave().await;
                        return Err(LoginFault {
                            fault: ConnectFault::at(Stage::Login, Cause::Closed),
                            is_delivered: true,
                        });
                    }
                    until = Instant::now() + deadlines.login;
                }
                LoginStep::Accepted(mut accepted) => {
                    if !is_authenticated {
                        accepted.forget_alert();
                    }
                    return Ok(LoginOutcome::Accepted(Box::new(LoggedIn { stream: self.stream, accepted })));
                }
                LoginStep::Refused { refused, alert, referral, why } => {
                    self.leave().await;
                    return match refused {
                        Refused::Tell(code) => {
                            let alert = alert.filter(|_| is_authenticated);
                            Ok(LoginOutcome::Refused { code, alert, referral, why })
                        }
                        Refused::Outage(code) => {
                            let fault = ConnectFault::at(Stage::Login, Cause::Unavailable(code.atom()));
                            Err(LoginFault { fault, is_delivered })
                        }
                    };
                }
            }
        }
    }

    /// Says goodbye; whether it is heard does not matter.
    pub async fn leave(mut self) {
        leave(&mut self.stream).await;
    }
}

fn in_login(fault: Fault) -> ConnectFault {
    ConnectFault::at(Stage::Login, Cause::Protocol(fault))
}

/// Sends what is to be sent, and processes what comes back.
async fn next_step(
    stream: &mut BackendStream,
    login: &mut Login,
    out: &mut SecretBuf,
    until: Instant,
) -> Result<LoginStep, ConnectFault> {
    if !out.is_empty() {
        let sent = std::mem::take(out);
        send(stream, &sent, Stage::Login, until).await?;
    }
    // A host may have said more at once.
    match login.step(out).map_err(in_login)? {
        LoginStep::Need if out.is_empty() => {}
        step => return Ok(step),
    }
    receive(stream, |bytes| login.feed(bytes), Stage::Login, until).await?;
    login.step(out).map_err(in_login)
}

async fn leave(stream: &mut BackendStream) {
    let until = Instant::now() + LOGOUT;
    if send(stream, b"O LOGOUT\r\n", Stage::Login, until).await.is_ok() {
        let _ = timeout_at(until, stream.shutdown()).await;
    }
}

/// The client's address in the fields of IMAP ID, as Dovecot reads them.
struct ClientIdFields<'a> {
    source: (String, String),
    destination: (String, String),
    session: &'a str,
}

impl<'a> ClientIdFields<'a> {
    fn new(on_behalf: OnBehalf<'a>) -> Self {
        let words = |address: std::net::SocketAddr| {
            (address.ip().to_canonical().to_string(), address.port().to_string())
        };
        Self {
            source: words(on_behalf.source),
            destination: words(on_behalf.destination),
            session: on_behalf.session,
        }
    }

    fn fields(&self) -> Vec<(&str, &str)> {
        vec![
            ("x-originating-ip", &self.source.0),
            ("x-originating-port", &self.source.1),
            ("x-connected-ip", &self.destination.0),
            ("x-connected-port", &self.destination.1),
            ("x-session-id", self.session),
        ]
    }
}

async fn send(
    stream: &mut BackendStream,
    bytes: &[u8],
    stage: Stage,
    until: Instant,
) -> Result<(), ConnectFault> {
    in_time(stage, until, async {
        stream.write_all(bytes).await?;
        stream.flush().await
    })
    .await
}

async fn receive(
    stream: &mut BackendStream,
    feed: impl FnMut(&[u8]),
    stage: Stage,
    until: Instant,
) -> Result<(), ConnectFault> {
    match in_time(stage, until, read_once(stream, usize::MAX, feed)).await? {
        0 => Err(ConnectFault::at(stage, Cause::Closed)),
        _ => Ok(()),
    }
}

async fn in_time<T>(
    stage: Stage,
    until: Instant,
    work: impl Future<Output = std::io::Result<T>>,
) -> Result<T, ConnectFault> {
    match timeout_at(until, work).await {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(error)) => Err(ConnectFault::at(stage, error)),
        Err(_) => Err(ConnectFault::at(stage, Cause::TimedOut)),
    }
}
