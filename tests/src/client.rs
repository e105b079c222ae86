//! A client that says exactly what a test wants, and a stream it can say it over.

use crate::deadline::DEADLINE;
use rustls::client::WantsClientCert;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{
    ClientConfig, ClientConnection, ConfigBuilder, DigitallySignedStruct, Error, SignatureScheme, StreamOwned,
};
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;

enum Stream {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
    Taken,
}

/// One connection.
pub struct Client {
    stream: Stream,
    buf: Vec<u8>,
}

impl Client {
    /// Connects without TLS; nothing has been read.
    pub fn plain(address: SocketAddr) -> Self {
        let tcp = TcpStream::connect(address).expect("usher listens");
        tcp.set_read_timeout(Some(DEADLINE)).unwrap();
        tcp.set_nodelay(true).unwrap();
        Self { stream: Stream::Plain(tcp), buf: Vec::new() }
    }

    /// Connects with implicit TLS and reads the greeting.
    pub fn tls(address: SocketAddr) -> Self {
        let mut client = Self::plain(address);
        client.start_tls(config());
        let greeting = client.line();
        assert!(greeting.starts_with("* OK [CAPABILITY IMAP4rev1 "), "{greeting}");
        client
    }

    /// Begins TLS on what was plain.
    pub fn start_tls(&mut self, config: Arc<ClientConfig>) {
        self.try_start_tls(config, "mail.test").expect("a handshake");
    }

    /// Begins TLS; the handshake may fail.
    pub fn try_start_tls(&mut self, config: Arc<ClientConfig>, name: &str) -> io::Result<()> {
        let Stream::Plain(tcp) = std::mem::replace(&mut self.stream, Stream::Taken) else {
            panic!("TLS already")
        };
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let mut stream = StreamOwned::new(ClientConnection::new(config, name).unwrap(), tcp);
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock)?;
        }
        self.stream = Stream::Tls(Box::new(stream));
        Ok(())
    }

    /// The TLS connection.
    pub fn connection(&mut self) -> &mut ClientConnection {
        match &mut self.stream {
            Stream::Tls(stream) => &mut stream.conn,
            _ => panic!("no TLS"),
        }
    }

    /// The TCP connection.
    pub fn tcp(&self) -> &TcpStream {
        match &self.stream {
            Stream::Plain(tcp) => tcp,
            Stream::Tls(stream) => &stream.sock,
            Stream::Taken => panic!("no connection"),
        }
    }

    /// Sends these octets.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.try_send(bytes.as_ref()).expect("usher takes octets");
    }

    /// Sends these octets, unless the connection is gone.
    pub fn try_send(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.stream {
            Stream::Plain(tcp) => tcp.write_all(bytes),
            Stream::Tls(stream) => stream.write_all(bytes).and_then(|()| stream.flush()),
            Stream::Taken => panic!("no connection"),
        }
    }

    /// Ends this side of the connection, as TLS and TCP do it properly.
    pub fn half_close(&mut self) {
        if let Stream::Tls(stream) = &mut self.stream {
            stream.conn.send_close_notify();
            stream.flush().unwrap();
        }
        self.tcp().shutdown(Shutdown::Write).unwrap();
    }

    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match &mut self.stream {
            Stream::Plain(tcp) => tcp.read(buf),
            Stream::Tls(stream) => stream.read(buf),
            Stream::Taken => panic!("no connection"),
        }
    }

    /// One line without its CRLF; panics when the connection ends before.
    pub fn line(&mut self) -> String {
        loop {
            if let Some(lf) = self.buf.iter().position(|b| *b == b'\n') {
                let line: Vec<u8> = self.buf.drain(..=lf).collect();
                return String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']).to_owned();
            }
            let mut buf = [0; 16 * 1024];
            match self.read(&mut buf).expect("usher answers") {
                0 => panic!("the connection has ended; unread: {:?}", String::from_utf8_lossy(&self.buf)),
                read => self.buf.extend_from_slice(&buf[..read]),
            }
        }
    }

    /// So many octets.
    pub fn octets(&mut self, count: usize) -> Vec<u8> {
        while self.buf.len() < count {
            let mut buf = vec![0; 64 * 1024];
            let read = self.read(&mut buf).expect("usher answers");
            assert!(read > 0, "the connection has ended after {} octets", self.buf.len());
            self.buf.extend_from_slice(&buf[..read]);
        }
        self.buf.drain(..count).collect()
    }

    /// Everything until the end of the connection, and how it ended.
    pub fn rest(&mut self) -> (String, io::Result<()>) {
        let mut buf = [0; 16 * 1024];
        let end = loop {
            match self.read(&mut buf) {
                Ok(0) => break Ok(()),
                Ok(read) => self.buf.extend_from_slice(&buf[..read]),
                Err(error) => break Err(error),
            }
        };
        (String::from_utf8_lossy(&std::mem::take(&mut self.buf)).into_owned(), end)
    }

    /// Sends a command line and reads up to its tagged answer, which is the last line.
    pub fn command(&mut self, line: &str) -> Vec<String> {
        self.send(format!("{line}\r\n"));
        self.answer(line.split(' ').next().unwrap())
    }

    /// Reads up to the answer tagged `tag`, which is the last line.
    pub fn answer(&mut self, tag: &str) -> Vec<String> {
        let mut lines = Vec::new();
        loop {
            lines.push(self.line());
            let last = lines.last().unwrap();
            if last.starts_with(&format!("{tag} ")) {
                return lines;
            }
        }
    }

    /// Logs in; panics when that is refused.
    pub fn login(&mut self, user: &str, password: &str) {
        let answer = self.command(&format!("login LOGIN \"{user}\" \"{password}\""));
        assert!(answer.last().unwrap().starts_with("login OK"), "{answer:?}");
    }
}

/// A TLS client that takes any certificate.
pub fn config() -> Arc<ClientConfig> {
    Arc::new(base())
}

/// The same, offering these ALPN protocols.
pub fn config_with_alpn(protocols: &[&str]) -> Arc<ClientConfig> {
    let mut config = base();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
    Arc::new(config)
}

/// The same, showing this certificate to whoever asks.
pub fn config_with_certificate(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Arc<ClientConfig> {
    Arc::new(builder().with_client_auth_cert(chain, key).unwrap())
}

/// The same, by the suites and groups of `provider`.
pub fn config_by(provider: CryptoProvider) -> ClientConfig {
    builder_by(provider).with_no_client_auth()
}

fn base() -> ClientConfig {
    builder().with_no_client_auth()
}

fn builder() -> ConfigBuilder<ClientConfig, WantsClientCert> {
    builder_by(default_provider())
}

fn builder_by(provider: CryptoProvider) -> ConfigBuilder<ClientConfig, WantsClientCert> {
    ClientConfig::builder_with_provider(Arc::new(provider))
        .with_safe_default_protocol_versions()
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyCertificate))
}

#[derive(Debug)]
struct AnyCertificate;

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        default_provider().signature_verification_algorithms.supported_schemes()
    }
}
