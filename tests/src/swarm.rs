//! Many clients at once: an async client with just enough IMAP for load.

use crate::client::config;
use rustls::pki_types::ServerName;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, LazyLock};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufStream};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// A connection, with TLS or without.
trait Both: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Both for T {}

/// One connection. TLS sessions are not resumed: each costs a whole handshake.
pub struct Swimmer(BufStream<Box<dyn Both>>);

impl Swimmer {
    /// Connects with implicit TLS and reads the greeting.
    ///
    /// # Errors
    /// When the connection, the handshake or the greeting fails.
    pub async fn connect(address: SocketAddr) -> io::Result<Self> {
        static CONNECTOR: LazyLock<TlsConnector> = LazyLock::new(|| {
            let mut config = (*config()).clone();
            config.resumption = rustls::client::Resumption::disabled();
            TlsConnector::from(Arc::new(config))
        });
        let tcp = TcpStream::connect(address).await?;
        tcp.set_nodelay(true)?;
        let name = ServerName::try_from("mail.test").expect("a name");
        Self::greeted(Box::new(CONNECTOR.connect(name, tcp).await?)).await
    }

    /// Connects without TLS and reads the greeting.
    ///
    /// # Errors
    /// When the connection or the greeting fails.
    pub async fn connect_plain(address: SocketAddr) -> io::Result<Self> {
        let tcp = TcpStream::connect(address).await?;
        tcp.set_nodelay(true)?;
        Self::greeted(Box::new(tcp)).await
    }

    async fn greeted(stream: Box<dyn Both>) -> io::Result<Self> {
        let mut swimmer = Self(BufStream::with_capacity(2048, 1024, stream));
        swimmer.line().await?;
        Ok(swimmer)
    }

    /// Reads whatever comes until the end of the connection.
    pub async fn rest(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let _ = self.0.read_to_end(&mut bytes).await;
        bytes
    }

    /// Sends a command and reads up to its answer, which is returned.
    ///
    /// # Errors
    /// When the connection ends.
    pub async fn command(&mut self, line: &str) -> io::Result<String> {
        self.send(line).await?;
        let tag = line.split(' ').next().unwrap_or_default().to_owned() + " ";
        loop {
            let line = self.line().await?;
            if line.starts_with(&tag) {
                return Ok(line);
            }
        }
    }

    /// Sends a line.
    ///
    /// # Errors
    /// When the connection ends.
    pub async fn send(&mut self, line: &str) -> io::Result<()> {
        self.0.write_all(format!("{line}\r\n").as_bytes()).await?;
        self.0.flush().await
    }

    /// Reads one line, without its line end.
    ///
    /// # Errors
    /// When the connection ends.
    pub async fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        match self.0.read_line(&mut line).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(line.trim_end().to_owned()),
        }
    }

    /// Reads so many octets.
    ///
    /// # Errors
    /// When the connection ends before.
    pub async fn octets(&mut self, count: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; count];
        self.0.read_exact(&mut bytes).await?;
        Ok(bytes)
    }

    /// Fetches the whole first message of the selected mailbox.
    ///
    /// # Errors
    /// When the connection ends, or the answer is none.
    pub async fn fetch(&mut self) -> io::Result<Vec<u8>> {
        self.send("f FETCH 1 BODY.PEEK[]").await?;
        let line = self.line().await?;
        let size =
            line.strip_suffix('}').and_then(|line| line.rsplit_once('{')).and_then(|(_, n)| n.parse().ok());
        let mut message = vec![0; size.ok_or(io::ErrorKind::InvalidData)?];
        self.0.read_exact(&mut message).await?;
        while !self.line().await?.starts_with("f ") {}
        Ok(message)
    }

    /// Ends the connection properly.
    ///
    /// # Errors
    /// When it has ended before.
    pub async fn close(mut self) -> io::Result<()> {
        self.command("x LOGOUT").await?;
        self.0.shutdown().await
    }
}
