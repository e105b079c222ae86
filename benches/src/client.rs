//! The clients of the contest: IMAP sessions, with TLS or without, many at once.

use crate::stub::MESSAGE;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls::crypto::aws_lc_rs::{default_provider, kx_group};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, NamedGroup};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, LazyLock};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Longer than any session takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// What all clients run on.
pub(crate) static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| usher_tests::runtime::with(2));

/// How a client connects.
#[derive(Clone)]
pub(crate) enum How {
    /// Without TLS.
    Plain,
    /// With implicit TLS 1.3.
    Tls(TlsConnector),
}

/// How often a client shakes hands.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Handshake {
    /// Wholly, each time, by X25519.
    Full,
    /// Wholly, each time, by X25519MLKEM768.
    PostQuantum,
    /// Once; then the session is resumed.
    Resumed,
}

impl How {
    /// With TLS, for one proxy: it resumes nobody else's sessions.
    pub(crate) fn tls(handshake: Handshake) -> Self {
        let mut provider = default_provider();
        provider.kx_groups = match handshake {
            Handshake::PostQuantum => vec![kx_group::X25519MLKEM768],
            Handshake::Full | Handshake::Resumed => vec![kx_group::X25519],
        };
        let mut config = usher_tests::client::config_by(provider);
        config.resumption = match handshake {
            Handshake::Resumed => rustls::client::Resumption::in_memory_sessions(256),
            Handshake::Full | Handshake::PostQuantum => rustls::client::Resumption::disabled(),
        };
        Self::Tls(TlsConnector::from(Arc::<ClientConfig>::new(config)))
    }
}

enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// One session.
pub(crate) struct Client {
    stream: Stream,
    unread: Vec<u8>,
}

impl Client {
    /// Connects and logs in.
    ///
    /// # Errors
    /// When the proxy or its backend does not do what it should.
    pub(crate) async fn log_in(address: SocketAddr, how: &How, user: &str) -> io::Result<Self> {
        let mut client = Self::connect(address, how).await?;
        client.command(&format!("a LOGIN {user} secret\r\n"), "a OK").await?;
        Ok(client)
    }

    /// Logs in by SASL.
    async fn authenticate(&mut self, by: By, user: &str) -> io::Result<()> {
        match by {
            By::Plain => {
                let message = STANDARD.encode(format!("\0{user}\0secret"));
                self.command(&format!("a AUTHENTICATE PLAIN {message}\r\n"), "a OK").await
            }
            By::Scram => {
                let first = STANDARD.encode(format!("n,,n={user},r=rOprNGfwEbeRWgbNEkqO"));
                self.command(&format!("a AUTHENTICATE SCRAM-SHA-256 {first}\r\n"), "+ ").await?;
                let last = STANDARD.encode(format!("c=biws,r=x,p={}", STANDARD.encode([0; 32])));
                self.command(&format!("{last}\r\n"), "+ ").await?;
                self.command("\r\n", "a OK").await
            }
        }
    }

    async fn connect(address: SocketAddr, how: &How) -> io::Result<Self> {
        let tcp = TcpStream::connect(address).await?;
        tcp.set_nodelay(true)?;
        let stream = match how {
            How::Plain => Stream::Plain(tcp),
            How::Tls(connector) => {
                let name = ServerName::try_from("mail.test").map_err(io::Error::other)?;
                Stream::Tls(Box::new(connector.connect(name, tcp).await?))
            }
        };
        let mut client = Self { stream, unread: Vec::with_capacity(512) };
        client.until("* OK").await?;
        Ok(client)
    }

    /// Waits for news, as mail programs do most of the time.
    ///
    /// # Errors
    /// When the connection ends.
    pub(crate) async fn idle(&mut self) -> io::Result<()> {
        self.command("b SELECT INBOX\r\n", "b OK").await?;
        self.command("c IDLE\r\n", "+ ").await
    }

    /// Fetches so many messages, and throws them away.
    ///
    /// # Errors
    /// When they are not what was sent.
    pub(crate) async fn fetch(&mut self, messages: usize) -> io::Result<()> {
        self.write(format!("d FETCH 1:{messages} BODY[]\r\n").as_bytes()).await?;
        let mut buf = vec![0; 256 << 10];
        let (mut got, mut tail) = (0, Vec::new());
        while !tail.ends_with(b"d OK done\r\n") {
            let read = match &mut self.stream {
                Stream::Plain(tcp) => tcp.read(&mut buf).await?,
                Stream::Tls(tls) => tls.read(&mut buf).await?,
            };
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            got += read;
            tail.extend_from_slice(buf.get(read.saturating_sub(16)..read).unwrap_or_default());
            tail.drain(..tail.len().saturating_sub(16));
        }
        if got > messages * MESSAGE { Ok(()) } else { Err(io::Error::other("octets are missing")) }
    }

    /// Says goodbye and waits until the other side has closed.
    ///
    /// # Errors
    /// When the goodbye is not answered.
    pub(crate) async fn log_out(mut self) -> io::Result<()> {
        self.command("z LOGOUT\r\n", "z OK").await?;
        let mut rest = [0; 256];
        // Some close without TLS's goodbye.
        match &mut self.stream {
            Stream::Plain(tcp) => while matches!(tcp.read(&mut rest).await, Ok(1..)) {},
            Stream::Tls(tls) => {
                while matches!(tls.read(&mut rest).await, Ok(1..)) {}
                let _ = tls.shutdown().await;
            }
        }
        Ok(())
    }

    /// The group and the cipher suite that were negotiated.
    pub(crate) fn negotiated(&self) -> Option<(NamedGroup, rustls::CipherSuite)> {
        let Stream::Tls(tls) = &self.stream else { return None };
        let connection = tls.get_ref().1;
        Some((
            connection.negotiated_key_exchange_group()?.name(),
            connection.negotiated_cipher_suite()?.suite(),
        ))
    }

    /// Whether the handshake resumed a session.
    pub(crate) fn is_resumed(&self) -> bool {
        match &self.stream {
            Stream::Plain(_) => false,
            Stream::Tls(tls) => tls.get_ref().1.handshake_kind() == Some(rustls::HandshakeKind::Resumed),
        }
    }

    async fn command(&mut self, command: &str, answer: &str) -> io::Result<()> {
        self.write(command.as_bytes()).await?;
        self.until(answer).await
    }

    async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.stream {
            Stream::Plain(tcp) => tcp.write_all(bytes).await,
            Stream::Tls(tls) => {
                tls.write_all(bytes).await?;
                tls.flush().await
            }
        }
    }

    /// Reads up to the line that begins with `answer`.
    async fn until(&mut self, answer: &str) -> io::Result<()> {
        loop {
            while let Some(end) = self.unread.iter().position(|octet| *octet == b'\n') {
                let line: Vec<u8> = self.unread.drain(..=end).collect();
                if line.starts_with(answer.as_bytes()) {
                    return Ok(());
                }
                // What is said first may be anything; an answer to a command is good or the end.
                if !line.starts_with(b"*") {
                    return Err(io::Error::other(String::from_utf8_lossy(&line).into_owned()));
                }
            }
            let read = match &mut self.stream {
                Stream::Plain(tcp) => tcp.read_buf(&mut self.unread).await?,
                Stream::Tls(tls) => tls.read_buf(&mut self.unread).await?,
            };
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }
}

/// By what a client logs in.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum By {
    /// `AUTHENTICATE PLAIN`.
    Plain,
    /// `AUTHENTICATE SCRAM-SHA-256`, with a proof that nobody checks.
    Scram,
}

/// Whole sessions without TLS, so many at a time.
///
/// # Errors
/// The first session's that fails.
pub(crate) async fn sessions_by(address: SocketAddr, by: By, at_once: usize, count: usize) -> io::Result<()> {
    let each = async |from: usize| {
        for number in (from..count).step_by(at_once) {
            let mut client = Client::connect(address, &How::Plain).await?;
            client.authenticate(by, &user(number)).await?;
            client.log_out().await?;
        }
        Ok::<_, io::Error>(())
    };
    futures_util::future::try_join_all((0..at_once).map(each)).await.map(drop)
}

/// Users in the directory, all of whom log in.
pub(crate) const USERS: usize = 100;

/// One of [`USERS`].
pub(crate) fn user(number: usize) -> String {
    format!("user{}@example.com", number % USERS)
}

/// Whole sessions, as many at a time as there are `hows`, of the users that `user` names by number. Returns how many
/// resumed a former one's TLS.
///
/// # Errors
/// The first session's that fails.
pub(crate) fn sessions(
    address: SocketAddr,
    hows: &[How],
    count: usize,
    user: impl Fn(usize) -> String + Clone + Send + 'static,
) -> io::Result<usize> {
    let at_once = hows.len();
    let tasks: Vec<_> = hows
        .iter()
        .cloned()
        .enumerate()
        .map(|(task, how)| {
            let user = user.clone();
            RUNTIME.spawn(async move {
                let mut resumed = 0;
                for number in (task..count).step_by(at_once) {
                    let user = user(number);
                    let whole = async {
                        let client = Client::log_in(address, &how, &user).await?;
                        let is_resumed = client.is_resumed();
                        client.log_out().await.map(|()| is_resumed)
                    };
                    resumed += usize::from(tokio::time::timeout(PATIENCE, whole).await??);
                }
                Ok::<_, io::Error>(resumed)
            })
        })
        .collect();
    tasks.into_iter().map(|task| RUNTIME.block_on(task)?).sum()
}

/// Sessions that idle, opened `at_once` at a time.
///
/// # Errors
/// The first session's that fails.
pub(crate) fn idlers(
    address: SocketAddr,
    how: &How,
    count: usize,
    at_once: usize,
) -> io::Result<Vec<Client>> {
    let mut open = Vec::new();
    while open.len() < count {
        let wave: Vec<_> = (0..at_once.min(count - open.len()))
            .map(|_| {
                let how = how.clone();
                RUNTIME.spawn(async move {
                    let mut client = Client::log_in(address, &how, &user(0)).await?;
                    client.idle().await?;
                    Ok::<_, io::Error>(client)
                })
            })
            .collect();
        for client in wave {
            open.push(RUNTIME.block_on(client)??);
        }
    }
    Ok(open)
}
