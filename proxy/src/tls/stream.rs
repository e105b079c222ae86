//! A client's connection, before or after TLS, as one type.

use super::proof;
use super::secured::Secured;
use rustls::HandshakeKind;
use rustls::pki_types::CertificateDer;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// An abstraction boundary: the transport may change without affecting sessions.
pub(crate) enum ClientStream {
    /// No TLS, or not yet.
    Plain(TcpStream),
    /// TLS.
    Tls(Box<Secured>),
    /// Used only by tests.
    #[cfg(test)]
    Memory(tokio::io::DuplexStream),
}

impl ClientStream {
    /// The TLS connection, if there is one.
    fn secured(&self) -> Option<&Secured> {
        match self {
            Self::Tls(stream) => Some(stream),
            Self::Plain(_) => None,
            #[cfg(test)]
            Self::Memory(_) => None,
        }
    }

    /// The version of TLS for logs, or "none".
    pub(crate) fn tls_version(&self) -> &'static str {
        let Some(stream) = self.secured() else { return "none" };
        match stream.negotiated().protocol_version() {
            Some(rustls::ProtocolVersion::TLSv1_3) => "TLSv1.3",
            Some(rustls::ProtocolVersion::TLSv1_2) => "TLSv1.2",
            Some(_) | None => "unknown",
        }
    }

    /// The cipher suite, if there is TLS.
    pub(crate) fn cipher_suite(&self) -> Option<rustls::CipherSuite> {
        Some(self.secured()?.negotiated().negotiated_cipher_suite()?.suite())
    }

    /// Whether the client resumed an earlier TLS session.
    pub(crate) fn is_resumed(&self) -> bool {
        let kind = self.secured().and_then(|stream| stream.negotiated().handshake_kind());
        kind == Some(HandshakeKind::Resumed)
    }

    /// Whether HTTP/2 was negotiated.
    pub(crate) fn is_http2(&self) -> bool {
        self.secured().is_some_and(|stream| stream.negotiated().alpn_protocol() == Some(b"h2"))
    }

    /// Whether nothing is wanted but the proof that a name is usher's.
    pub(crate) fn is_for_proof(&self) -> bool {
        self.secured().is_some_and(|stream| stream.negotiated().alpn_protocol() == Some(proof::PROTOCOL))
    }

    /// The verified certificate of the client.
    pub(crate) fn client_certificate(&self) -> Option<&CertificateDer<'static>> {
        self.secured()?.negotiated().peer_certificates()?.first()
    }

    /// Whether the client takes nothing at the moment: what is written is kept.
    pub(crate) fn is_blocked(&self) -> bool {
        self.secured().is_some_and(Secured::is_blocked)
    }

    /// The name that the client asked for with SNI.
    pub(crate) fn server_name(&self) -> Option<&str> {
        self.secured()?.server_name()
    }
}

impl AsyncRead for ClientStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
            #[cfg(test)]
            Self::Memory(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for ClientStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
            #[cfg(test)]
            Self::Memory(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
            #[cfg(test)]
            Self::Memory(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
            #[cfg(test)]
            Self::Memory(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
