//! `[[listener]]` with `protocol = "lookup"`: usher answers others who want to know where a user is.

use serde::Serialize;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Where and how others are answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LookupListener {
    /// Where.
    pub address: LookupAddress,
    /// By which protocols; which one it is, the first bytes of a connection say.
    pub serves: Vec<LookupProtocol>,
    /// What Postfix is told of a user, with `{host}` and `{address}`.
    pub transport: String,
}

/// Where others ask: nowhere but on this machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum LookupAddress {
    /// An address of the machine itself.
    Tcp(SocketAddr),
    /// A socket in the file system.
    Unix(PathBuf),
}

/// How others ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LookupProtocol {
    /// Postfix, socketmap_table(5).
    Socketmap,
    /// Postfix, tcp_table(5).
    TcpTable,
    /// nginx, `auth_http`.
    AuthHttp,
    /// Dovecot's dict client, for its passdb.
    Dict,
}

impl LookupProtocol {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Socketmap, Self::TcpTable, Self::AuthHttp, Self::Dict];

    /// The word of the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::Socketmap => "socketmap",
            Self::TcpTable => "tcp_table",
            Self::AuthHttp => "auth_http",
            Self::Dict => "dict",
        }
    }
}
