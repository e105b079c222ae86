//! `[tls]`: TLS with clients.

use serde::Serialize;

/// How TLS is spoken with clients.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Tls {
    /// The versions.
    pub versions: Vec<TlsVersion>,
    /// The cipher suites by their names in IANA's registry; clients choose among them. `None`: all of [`Tls::SUITES`].
    pub cipher_suites: Option<Vec<&'static str>>,
}

/// A version of TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum TlsVersion {
    /// RFC 5246.
    #[serde(rename = "1.2")]
    Tls12,
    /// RFC 8446.
    #[serde(rename = "1.3")]
    Tls13,
}

impl TlsVersion {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Tls12, Self::Tls13];

    /// The word of the file.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tls12 => "1.2",
            Self::Tls13 => "1.3",
        }
    }

    /// The version that a suite of [`Tls::SUITES`] belongs to: those of 1.3 do not say how keys are agreed on.
    pub fn of_suite(suite: &str) -> Self {
        if suite.contains("_WITH_") { Self::Tls12 } else { Self::Tls13 }
    }
}

impl Tls {
    /// Every cipher suite that there is here.
    pub const SUITES: [&'static str; 9] = [
        "TLS_AES_256_GCM_SHA384",
        "TLS_AES_128_GCM_SHA256",
        "TLS_CHACHA20_POLY1305_SHA256",
        "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
        "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
        "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
        "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
        "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
        "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
    ];
}

impl Default for Tls {
    fn default() -> Self {
        Self { versions: TlsVersion::ALL.to_vec(), cipher_suites: None }
    }
}
