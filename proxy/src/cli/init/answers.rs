//! What the operator has answered.

/// All answers.
#[derive(Debug)]
pub(super) struct Answers {
    /// The name that users connect to.
    pub(super) name: String,
    /// Which listeners there are to be.
    pub(super) listeners: Vec<Listens>,
    pub(super) hosts: Vec<Host>,
    pub(super) certificate: Certificate,
    pub(super) users: Users,
}

/// A listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Listens {
    Imap,
    Imaps,
    Https,
}

impl Listens {
    pub(super) const ALL: [Self; 3] = [Self::Imap, Self::Imaps, Self::Https];

    /// The word of the configuration.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Imap => "imap",
            Self::Imaps => "imaps",
            Self::Https => "https",
        }
    }

    pub(super) fn port(self) -> u16 {
        match self {
            Self::Imap => 143,
            Self::Imaps => 993,
            Self::Https => 443,
        }
    }
}

/// A server that holds archives.
#[derive(Debug)]
pub(super) struct Host {
    pub(super) name: String,
    /// With its port.
    pub(super) address: String,
    /// `implicit`, `starttls` or `none`.
    pub(super) tls: &'static str,
    /// By which its certificate is known; `None`: by the system's roots.
    pub(super) pin: Option<String>,
}

/// Where certificates come from.
#[derive(Debug)]
pub(super) enum Certificate {
    /// From files.
    Files { chain: String, key: String },
    /// They are ordered, and this is whom the authority writes to, or nobody.
    Ordered { contact: String },
    /// There is none yet.
    SelfMade,
}

/// Where the users are.
#[derive(Debug)]
pub(super) enum Users {
    /// In this file, as `user,host`.
    Csv(String),
    /// All of a domain on one host.
    Domain { domain: String, host: String },
    /// The hosts are asked.
    Peers,
    /// They are told later.
    Later,
}
