//! How HTTPS requests are identified and routed, and what each path allows.

use crate::certificate::Certificate;
use crate::shown;
use ipnet::IpNet;
use serde::Serialize;
use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;
pub use usher_policy::identity::{HostTemplate, Naming, PathTemplate};

/// `[https]`.
#[derive(Debug, Clone, Serialize)]
pub struct Https {
    /// The array for requests that name nobody; `None`: such requests are refused.
    pub array: Option<String>,
    /// `[[https.identity]]`: where to look for a name in a request, in the order in which the places are tried.
    pub identities: Vec<Identity>,
    /// Senders whose `Forwarded` and `X-Forwarded-*` are believed and added to.
    pub trusted: Vec<IpNet>,
    /// `[[https.path]]`: what differs below some paths; the longest prefix counts.
    pub paths: Vec<PathPolicy>,
    /// Time from a request's last byte to the first of its response.
    #[serde(with = "shown::duration")]
    pub response_timeout: Duration,
    /// Whether backends are told of this server by `Via`.
    pub via: bool,
    /// Longest body of a request in bytes; `None`: unlimited.
    pub body_limit: Option<u64>,
    /// Lifetime of usher's own cookies.
    #[serde(with = "shown::duration")]
    pub cookie_age: Duration,
    /// The certificate authorities of clients' certificates; `None`: clients are not asked for one.
    pub client_ca: Option<ClientCa>,
}

/// The certificate authorities that sign clients' certificates.
#[derive(Debug, Clone, Serialize)]
pub struct ClientCa {
    /// The certificates, PEM.
    pub file: PathBuf,
    /// Where it stands in the configuration.
    #[serde(skip)]
    pub span: Range<usize>,
}

/// `[[https.path]]`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct PathPolicy {
    /// The beginning of the path in whole segments; case is ignored.
    pub prefix: String,
    /// In place of that of `[https]`.
    #[serde(serialize_with = "shown::some_duration")]
    pub response_timeout: Option<Duration>,
    /// In place of that of `[https]`.
    pub body_limit: Option<u64>,
    /// Protocols other than `websocket` that a request may ask to switch to, in lower case.
    pub upgrades: Vec<String>,
    /// Overrides `http_stalled` of `[limits]`.
    #[serde(serialize_with = "shown::some_duration")]
    pub stalled: Option<Duration>,
    /// Overrides `http_min_rate` of `[limits]`, in bytes per second.
    pub min_rate: Option<u64>,
    /// Paths with an empty segment, such as `//principals/`, are passed on unchanged.
    pub lenient_paths: bool,
    /// Request trailers that were not announced are passed on to HTTP/1.1 as well.
    pub request_trailers: bool,
}

/// `[[https.identity]]`: one place of a request that may name somebody.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "from")]
pub enum Identity {
    /// The user of `Authorization: Basic` (RFC 7617).
    Basic,
    /// A claim of the JWT in `Authorization: Bearer` (RFC 6750, RFC 7519); read, not verified.
    Bearer {
        /// The claim.
        claim: String,
        /// What it names.
        names: Naming,
    },
    /// A segment of the path.
    Path {
        /// Which.
        template: PathTemplate,
    },
    /// A parameter of the query.
    Query {
        /// Its name.
        parameter: String,
        /// What it names.
        names: Naming,
    },
    /// The host that the request is addressed to.
    Host {
        /// Which hosts.
        host: HostTemplate,
    },
    /// usher's own cookie, set once a form has named somebody. Any other name in the request takes precedence.
    Cookie,
    /// A field of a login form, or of a JSON object, that is posted.
    Form {
        /// To which path.
        path: String,
        /// The field.
        field: String,
        /// What it names.
        names: Naming,
        /// The statuses of responses that mean that the password is wrong.
        refused_with: Vec<u16>,
    },
    /// A header field that a proxy in front sets.
    Header {
        /// The field, in lower case.
        name: String,
        /// The only senders that may set it.
        senders: Vec<IpNet>,
        /// What it names.
        names: Naming,
    },
    /// The mail address of the client's certificate, or else its common name.
    ClientCertificate,
}

impl Https {
    /// The policy with the longest prefix that matches `path`, which is in its normal form.
    pub fn policy(&self, path: &str) -> Option<&PathPolicy> {
        let below = |policy: &&PathPolicy| {
            let Some((start, rest)) = path.split_at_checked(policy.prefix.len()) else { return false };
            let whole = rest.is_empty() || policy.prefix.ends_with('/') || rest.starts_with('/');
            whole && start.eq_ignore_ascii_case(&policy.prefix)
        };
        self.paths.iter().filter(below).max_by_key(|policy| policy.prefix.len())
    }
}

impl Default for Https {
    fn default() -> Self {
        Self {
            array: None,
            identities: vec![Identity::Basic],
            trusted: Vec::new(),
            paths: Vec::new(),
            response_timeout: Duration::from_secs(60),
            body_limit: None,
            cookie_age: Duration::from_secs(12 * 60 * 60),
            client_ca: None,
            via: true,
        }
    }
}

/// `[client_setup]`: what mail clients are told when users only type their address.
#[derive(Debug, Clone, Serialize)]
pub struct ClientSetup {
    /// What accounts are called.
    pub display_name: String,
    /// The server for outgoing mail, a role that usher does not have.
    pub smtp: Option<Smtp>,
    /// Chain and key, PEM, by which configuration profiles are signed.
    pub signing: Option<Certificate>,
}

/// A server for outgoing mail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Smtp {
    /// Its name.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// TLS from the start instead of STARTTLS.
    pub implicit_tls: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_prefix_counts() {
        let path = |prefix: &str| PathPolicy { prefix: prefix.to_owned(), ..PathPolicy::default() };
        let https = Https { paths: vec![path("/a"), path("/a/b"), path("/c/")], ..Https::default() };
        let prefix = |path| https.policy(path).map(|policy| policy.prefix.as_str());
        assert_eq!(prefix("/a"), Some("/a"));
        assert_eq!(prefix("/ab"), None);
        assert_eq!(prefix("/a/b/c"), Some("/a/b"));
        assert_eq!(prefix("/c/x"), Some("/c/"));
    }
}
