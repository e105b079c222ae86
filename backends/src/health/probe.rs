//! One probe of one service, by the same path that sessions take.

use super::agent;
use super::secret::{self, SecretFault};
use crate::connect::{
    self, BackendStream, Cause, ConnectFault, Deadlines, HttpTarget, Learnt, LoginOutcome, Stage,
};
use crate::roster::{AgentWord, Host, Member, Roster, Service};
use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::time::{Instant, timeout_at};
use usher_config::health::{HealthPolicy, HttpProbe, ImapProbe, TcpProbe};
use usher_config::snapshot::{BackendTls, ClientAddress, HttpVersion};
use usher_policy::verdict::Outcome;
use usher_wire::imap::id::ClientId;
use usher_wire::imap::sasl::Credential;
use usher_wire::secret::Secret;

/// Bytes of a body that are searched.
const BODY_CAP: usize = 64 * 1024;

/// Who is probed.
pub(super) enum Subject {
    Host(Arc<Host>),
    Member(Arc<Member>, Option<u16>),
}

/// Why a probe failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum ProbeFault {
    #[error("{0}")]
    Connect(#[from] ConnectFault),
    #[error("the login was refused")]
    LoginRefused,
    #[error("{0}")]
    Password(#[from] SecretFault),
    #[error("http: {0}")]
    Http(String),
    #[error("http: no answer in time")]
    HttpTimedOut,
    #[error("http: status {0}")]
    Status(u16),
    #[error("http: the body does not contain the expected text")]
    Body,
}

impl ProbeFault {
    /// What the fault says about the service.
    pub(super) fn outcome(&self) -> Outcome {
        match self {
            Self::Connect(fault) => fault.outcome(),
            Self::HttpTimedOut => Outcome::TimedOut,
            Self::Password(_) => Outcome::Unknown,
            Self::LoginRefused | Self::Http(_) | Self::Status(_) | Self::Body => Outcome::Refused,
        }
    }
}

impl ProbeFault {
    /// Whether nobody listened.
    pub(super) fn is_refused_connection(&self) -> bool {
        matches!(self, Self::Connect(fault) if fault.is_refused_connection())
    }
}

impl ConnectFault {
    /// Whether nobody listened.
    pub(super) fn is_refused_connection(&self) -> bool {
        self.stage == Stage::Dial
            && matches!(&self.cause, Cause::Io(error) if error.kind() == std::io::ErrorKind::ConnectionRefused)
    }

    /// Whether a healthy backend might do this to a client whose address it rejects: it closes or resets the connection
    /// once it knows the address, or says so in its greeting. It would not show another certificate for that, nor break
    /// TLS.
    pub(super) fn may_be_meant_for_one_client(&self) -> bool {
        let is_refusal = self.outcome() == Outcome::Refused;
        match self.stage {
            Stage::ProxyHeader | Stage::Greeting => is_refusal,
            Stage::Tls => is_refusal && matches!(self.cause, Cause::Io(_) | Cause::Closed),
            Stage::Resolve | Stage::Dial | Stage::Login | Stage::Response => false,
        }
    }

    /// What the fault says about the backend.
    pub(super) fn outcome(&self) -> Outcome {
        use std::io::ErrorKind as K;
        match &self.cause {
            // Without a resolver no host has an address, but none of them is at fault.
            _ if self.stage == Stage::Resolve => Outcome::TimedOut,
            Cause::TimedOut => Outcome::TimedOut,
            Cause::Io(error) => match error.kind() {
                K::ConnectionRefused
                | K::ConnectionReset
                | K::ConnectionAborted
                | K::BrokenPipe
                | K::UnexpectedEof
                | K::InvalidData => Outcome::Refused,
                K::TimedOut | K::HostUnreachable | K::NetworkUnreachable | K::NetworkDown => {
                    Outcome::TimedOut
                }
                // No descriptors, ports or memory: this machine's own shortage.
                _ => Outcome::Unknown,
            },
            Cause::Full => Outcome::Unknown,
            Cause::Closed
            | Cause::Pin
            | Cause::Tls(_)
            | Cause::Protocol(_)
            | Cause::Http(_)
            | Cause::Unavailable(_) => Outcome::Refused,
        }
    }
}

impl Subject {
    /// The backend as the roster has it now.
    pub(super) fn find(roster: &Roster, id: &crate::roster::BackendId) -> Option<Self> {
        match &id.array {
            None => roster.host(&id.name).cloned().map(Self::Host),
            Some(array) => {
                let array = roster.array(array)?;
                let member = array.members.iter().find(|member| member.id == *id)?;
                Some(Self::Member(member.clone(), array.config.probe_port))
            }
        }
    }

    fn http(&self) -> Option<&HttpTarget> {
        match self {
            Self::Host(host) => host.services.http().map(AsRef::as_ref),
            Self::Member(member, _) => member.http.as_deref(),
        }
    }

    /// Probes `service` as `policy` says; with `deeper`, beyond the TCP connection in any case. The passwords of hosts
    /// added at run time are in `secrets_dir`.
    pub(super) async fn probe(
        &self,
        service: Service,
        policy: &HealthPolicy,
        deeper: bool,
        deadlines: &Deadlines,
        secrets_dir: Option<&Path>,
    ) -> Result<Learnt, ProbeFault> {
        let deadlines = Deadlines { connect: policy.timeout, login: policy.timeout, ..*deadlines };
        let until = Instant::now() + policy.timeout;
        match (self, service) {
            (Self::Host(host), Service::Imap) => {
                imap(host, &policy.imap, deeper, &deadlines, secrets_dir).await
            }
            (_, Service::Http) => self.http_probe(&policy.http, deeper, &deadlines).await,
            (Self::Member(member, probe_port), _) => match (&policy.tcp, &member.config.tcp) {
                (TcpProbe::Tcp, Some(tcp)) => {
                    let Some(port) = tcp.port.or(*probe_port) else { return Ok(Learnt::default()) };
                    connect_briefly(&connect::authority(&tcp.host, port), until).await
                }
                (TcpProbe::None, _) | (_, None) => Ok(Learnt::default()),
            },
            (Self::Host(_), Service::Tcp) => Ok(Learnt::default()),
        }
    }

    async fn http_probe(
        &self,
        probe: &HttpProbe,
        deeper: bool,
        deadlines: &Deadlines,
    ) -> Result<Learnt, ProbeFault> {
        let Some(target) = self.http() else { return Ok(Learnt::default()) };
        let until = Instant::now() + deadlines.connect;
        match probe {
            HttpProbe::None => return Ok(Learnt::default()),
            HttpProbe::Tcp if !deeper => return connect_briefly(&target.endpoint.address, until).await,
            HttpProbe::Tcp | HttpProbe::Tls | HttpProbe::Get { .. } => {}
        }
        let stream = connect::open_http(target, HttpVersion::One, None, deadlines).await?;
        let learnt = Learnt { certificate_ends: stream.certificate_ends(), ..Learnt::default() };
        let asked = match probe {
            HttpProbe::Get { path, status, body } => Some((path.as_str(), Some(*status), body.as_deref())),
            // Requests have failed there: any answer shows that it serves some.
            HttpProbe::None | HttpProbe::Tcp | HttpProbe::Tls if deeper => Some(("/", None, None)),
            HttpProbe::None | HttpProbe::Tcp | HttpProbe::Tls => None,
        };
        if let Some((path, status, body)) = asked {
            let asking = get(stream, &target.name, path, status, body);
            timeout_at(until, asking).await.map_err(|_| ProbeFault::HttpTimedOut)??;
        }
        Ok(learnt)
    }
}

/// Connects and resets, so that neither side keeps any state.
async fn connect_briefly(address: &str, until: Instant) -> Result<Learnt, ProbeFault> {
    let tcp = connect::connect_briefly(address, until).await?;
    let _ = tcp.set_zero_linger();
    Ok(Learnt::default())
}

async fn imap(
    host: &Host,
    probe: &ImapProbe,
    deeper: bool,
    deadlines: &Deadlines,
    secrets_dir: Option<&Path>,
) -> Result<Learnt, ProbeFault> {
    let Some(target) = host.services.mail(Service::Imap) else { return Ok(Learnt::default()) };
    let endpoint = &target.endpoint;
    let until = Instant::now() + deadlines.connect;
    match (probe, endpoint.tls) {
        (ImapProbe::None, _) => Ok(Learnt::default()),
        (ImapProbe::Tcp, _) if !deeper => connect_briefly(&endpoint.address, until).await,
        (ImapProbe::Tls, BackendTls::Implicit) if !deeper && !wants_header(endpoint.client_address) => {
            let stream =
                connect::reach(&endpoint.address, &host.config.name, target.tls.as_ref(), until).await?;
            Ok(Learnt { certificate_ends: stream.certificate_ends(), ..Learnt::default() })
        }
        (ImapProbe::Tcp | ImapProbe::Tls | ImapProbe::Greeting, _) => {
            let ready = connect::look(target, deadlines).await?;
            let learnt = ready.learnt();
            ready.leave().await;
            Ok(learnt)
        }
        (ImapProbe::Login { user, password_file }, _) => {
            let password = read_password(password_file, host, secrets_dir).await?;
            let ready = connect::look(target, deadlines).await?;
            let learnt = ready.learnt();
            let user = user.clone().into_bytes();
            let credential = Credential::with_password(user, password);
            let answered = ready.log_in(target, &credential, &ClientId::default(), None, deadlines).await;
            match answered.map_err(|fault| fault.fault)? {
                LoginOutcome::Accepted(logged_in) => {
                    logged_in.leave().await;
                    Ok(learnt)
                }
                LoginOutcome::Refused { .. } => Err(ProbeFault::LoginRefused),
            }
        }
    }
}

/// Whether the backend expects a PROXY header before anything else.
fn wants_header(told: ClientAddress) -> bool {
    matches!(told, ClientAddress::ProxyV1 | ClientAddress::ProxyV2)
}

/// Reads the password of a probe where a slow disk does not delay other probes.
async fn read_password(path: &Path, host: &Host, secrets_dir: Option<&Path>) -> Result<Secret, ProbeFault> {
    let (path, origin) = (path.to_owned(), host.origin.clone());
    let secrets_dir = secrets_dir.map(Path::to_owned);
    let reading = tokio::task::spawn_blocking(move || secret::read(&path, &origin, secrets_dir.as_deref()));
    let read = reading.await.map_err(|error| SecretFault::Io {
        path: std::path::PathBuf::new(),
        source: std::io::Error::other(error),
    })?;
    Ok(read?)
}

async fn get(
    stream: BackendStream,
    name: &str,
    path: &str,
    status: Option<u16>,
    expected: Option<&str>,
) -> Result<(), ProbeFault> {
    let http = |error: &dyn std::fmt::Display| ProbeFault::Http(error.to_string());
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|error| http(&error))?;
    let request = hyper::Request::get(path)
        .header("host", name)
        .header("user-agent", "usher-health")
        .header("connection", "close")
        .body(Empty::<Bytes>::new())
        .map_err(|error| http(&error))?;
    let talk = async {
        let response = sender.send_request(request).await.map_err(|error| http(&error))?;
        if status.is_some_and(|status| response.status().as_u16() != status) {
            return Err(ProbeFault::Status(response.status().as_u16()));
        }
        let Some(expected) = expected else { return Ok(()) };
        let (mut body, mut read) = (response.into_body(), Vec::new());
        while read.len() < BODY_CAP {
            let Some(frame) = body.frame().await else { break };
            let frame = frame.map_err(|error| http(&error))?;
            read.extend_from_slice(frame.data_ref().map(Bytes::as_ref).unwrap_or_default());
        }
        match memchr::memmem::find(&read, expected.as_bytes()) {
            Some(_) => Ok(()),
            None => Err(ProbeFault::Body),
        }
    };
    tokio::pin!(talk);
    tokio::select! {
        biased;
        done = &mut talk => done,
        // What the backend delivered before it closed must still be read.
        _ = connection => talk.await,
    }
}

/// Asks the agent at `address`.
pub(super) async fn ask_agent(
    address: &str,
    before: AgentWord,
    timeout: Duration,
) -> Result<AgentWord, ConnectFault> {
    let until = Instant::now() + timeout;
    let mut tcp = connect::connect_briefly(address, until).await?;
    let mut line = Vec::new();
    let reading = async {
        let mut limited = (&mut tcp).take(agent::LINE_CAP as u64);
        while !line.contains(&b'\n') && limited.read_buf(&mut line).await? > 0 {}
        Ok::<_, std::io::Error>(())
    };
    let late = |_| ConnectFault::at(Stage::Greeting, Cause::TimedOut);
    let read = timeout_at(until, reading).await.map_err(late)?;
    read.map_err(|error| ConnectFault::at(Stage::Greeting, error))?;
    Ok(agent::read(&String::from_utf8_lossy(&line), before))
}
