//! `[[listener]]`.

use crate::https::ClientCa;
use crate::shown;
use ipnet::IpNet;
use serde::Serialize;
use std::net::SocketAddr;
use std::ops::{Range, RangeInclusive};
use std::sync::Arc;
use std::time::Duration;
use usher_wire::imap::sasl::Mechanism;

/// `[[listener]]`.
#[derive(Debug, Clone)]
pub struct Listener {
    /// The address it listens on, with the first port of a range.
    pub address: SocketAddr,
    /// What is served there.
    pub serves: Serves,
    /// The only senders, each of which must send a PROXY header; `None`: there is no header.
    pub proxy_from: Option<Vec<IpNet>>,
    /// Where it stands in the file.
    pub span: Range<usize>,
}

impl Serialize for Listener {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Shown<'l> {
            protocol: Protocol,
            address: SocketAddr,
            #[serde(flatten)]
            serves: &'l Serves,
            proxy_from: Option<&'l [IpNet]>,
        }
        let proxy_from = self.proxy_from.as_deref();
        Shown { protocol: self.protocol(), address: self.address, serves: &self.serves, proxy_from }
            .serialize(serializer)
    }
}

impl Listener {
    /// What is spoken there.
    pub fn protocol(&self) -> Protocol {
        match &self.serves {
            Serves::Imap(imap) if imap.plaintext_from.is_some() => Protocol::Imap,
            Serves::Imap(_) => Protocol::Imaps,
            Serves::Https(_) => Protocol::Https,
            Serves::HttpRedirect(_) => Protocol::HttpRedirect,
            Serves::Tcp(_) => Protocol::Tcp,
        }
    }

    /// The ports that clients connect to.
    pub fn ports(&self) -> RangeInclusive<u16> {
        let first = self.address.port();
        match &self.serves {
            Serves::Tcp(tcp) => first..=tcp.last_port,
            Serves::Imap(_) | Serves::Https(_) | Serves::HttpRedirect(_) => first..=first,
        }
    }

    /// The ports that usher listens on: without those that the firewall redirects.
    pub fn open_ports(&self) -> RangeInclusive<u16> {
        match &self.serves {
            Serves::Tcp(tcp) if tcp.redirected => self.address.port()..=self.address.port(),
            Serves::Tcp(_) | Serves::Imap(_) | Serves::Https(_) | Serves::HttpRedirect(_) => self.ports(),
        }
    }

    /// The array whose members it spreads over, if any.
    pub fn array(&self) -> Option<&str> {
        match &self.serves {
            Serves::Tcp(tcp) => Some(&tcp.array),
            Serves::Imap(_) | Serves::Https(_) | Serves::HttpRedirect(_) => None,
        }
    }

    /// Its HTTPS settings, if it serves HTTPS.
    pub fn https(&self) -> Option<&HttpsListener> {
        match &self.serves {
            Serves::Https(https) => Some(https),
            Serves::Imap(_) | Serves::HttpRedirect(_) | Serves::Tcp(_) => None,
        }
    }
}

/// What a listener serves, with the settings that are specific to it.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
pub enum Serves {
    /// IMAP, with STARTTLS or implicit TLS.
    Imap(Arc<ImapListener>),
    /// HTTP/1.1 and HTTP/2 over TLS.
    Https(Arc<HttpsListener>),
    /// HTTP/1.1 in the clear, which is sent to HTTPS.
    HttpRedirect(RedirectListener),
    /// Anything over TCP, spread over an array.
    Tcp(Arc<TcpListener>),
}

/// IMAP.
#[derive(Debug, Clone, Serialize)]
pub struct ImapListener {
    /// STARTTLS, which these networks may log in without. `None`: implicit TLS.
    pub plaintext_from: Option<Vec<IpNet>>,
    /// What clients are offered before login in addition to usher's own capabilities.
    pub capabilities: Offered,
    /// How clients may log in; `None`: as all hosts can.
    #[serde(serialize_with = "shown::some_mechanisms")]
    pub mechanisms: Option<Vec<Mechanism>>,
    /// Clients are asked for a certificate that is signed by one of these.
    pub client_ca: Option<ClientCa>,
    /// Refuse handshakes that ask for a name no certificate has.
    pub strict_sni: bool,
}

/// HTTPS.
#[derive(Debug, Clone, Serialize)]
pub struct HttpsListener {
    /// Duration that `Strict-Transport-Security` announces; `None`: no such header.
    #[serde(serialize_with = "shown::some_duration")]
    pub hsts: Option<Duration>,
    /// Refuse handshakes that ask for a name no certificate has.
    pub strict_sni: bool,
}

/// HTTP in the clear.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct RedirectListener {
    /// The port that requests are redirected to.
    pub redirect_to: u16,
}

/// Plain TCP.
#[derive(Debug, Clone, Serialize)]
pub struct TcpListener {
    /// Over whose members it spreads.
    pub array: String,
    /// The last port of the range; the first is that of `address`.
    pub last_port: u16,
    /// Only its first port is listened on; the firewall redirects the others there.
    pub redirected: bool,
}

/// Which of the hosts' capabilities are offered before login.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Offered {
    /// `IDLE`, once all hosts have it.
    #[default]
    Idle,
    /// All that all hosts have.
    Shared,
    /// These, separated by spaces.
    These(String),
}

/// What a listener speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Protocol {
    /// IMAP with STARTTLS.
    Imap,
    /// IMAP with implicit TLS.
    Imaps,
    /// HTTP/1.1 and HTTP/2 over TLS.
    Https,
    /// HTTP/1.1 in the clear, which is sent to HTTPS.
    HttpRedirect,
    /// Anything over TCP, spread over an array.
    Tcp,
}

impl Protocol {
    /// The word of the configuration, for logs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Imap => "imap",
            Self::Imaps => "imaps",
            Self::Https => "https",
            Self::HttpRedirect => "http-redirect",
            Self::Tcp => "tcp",
        }
    }
}
