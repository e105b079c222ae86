//! How HTTPS requests are told apart: whom they name, and what each path may take.

use crate::archive_key::ArchiveKey;
use crate::domains::{Arrival, Domains};
use crate::shown;
use crate::snapshot::Certificate;
use ipnet::IpNet;
use serde::Serialize;
use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;

/// `[https]`.
#[derive(Debug, Clone, Serialize)]
pub struct Https {
    /// Where requests go that name nobody; `None`: they are refused.
    pub array: Option<String>,
    /// `[[https.identity]]`: where a request may name somebody, in the order in which they are tried.
    pub identities: Vec<Identity>,
    /// Senders whose `Forwarded` and `X-Forwarded-*` are believed and added to.
    pub trusted: Vec<IpNet>,
    /// `[[https.path]]`: what differs below some paths; the longest prefix counts.
    pub paths: Vec<PathPolicy>,
    /// From a request's last octet to the first of its response.
    #[serde(with = "shown::duration")]
    pub response_timeout: Duration,
    /// Whether backends are told of this server by `Via`.
    pub via: bool,
    /// Longest body of a request in octets; `None`: no bound.
    pub body_limit: Option<u64>,
    /// How long usher's own cookies are good.
    #[serde(with = "shown::duration")]
    pub cookie_age: Duration,
    /// Certificates, PEM, by which those of clients are verified; `None`: clients are not asked for one.
    pub client_ca: Option<ClientCa>,
}

/// Who signs clients' certificates.
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
    /// The beginning of the path, whole segments, without regard to case.
    pub prefix: String,
    /// In place of that of `[https]`.
    #[serde(serialize_with = "shown::some_duration")]
    pub response_timeout: Option<Duration>,
    /// In place of that of `[https]`.
    pub body_limit: Option<u64>,
    /// Protocols beside `websocket` that a request may ask to switch to, in lower case.
    pub upgrades: Vec<String>,
    /// In place of `http_stalled` of `[limits]`.
    #[serde(serialize_with = "shown::some_duration")]
    pub stalled: Option<Duration>,
    /// In place of `http_min_rate` of `[limits]`, in octets a second.
    pub min_rate: Option<u64>,
    /// Paths with an empty segment, such as `//principals/`, pass as they are.
    pub lenient_paths: bool,
    /// Trailers of requests that are not announced go on to HTTP/1.1 as well.
    pub request_trailers: bool,
}

/// What a name is the name of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Naming {
    /// Of a user.
    User,
    /// Of a tenant.
    Tenant,
    /// Of a domain.
    Domain,
}

impl Naming {
    /// The key of what is called `typed`; `None` for a name that no archive can have.
    pub fn key(self, typed: &[u8], domains: &Domains, arrival: Arrival<'_>) -> Option<ArchiveKey> {
        match self {
            Self::User => domains.user(typed, arrival),
            Self::Tenant => Domains::tenant(typed),
            Self::Domain => domains.domain(typed),
        }
    }
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
    /// The host that is asked.
    Host {
        /// Which hosts.
        host: HostTemplate,
    },
    /// usher's own cookie, set when a form has named somebody. Whatever else a request says goes before it.
    Cookie,
    /// A field of a login form, or of a JSON object, that is posted.
    Form {
        /// To which path.
        path: String,
        /// The field.
        field: String,
        /// What it names.
        names: Naming,
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
    /// The mail address, else the common name, of the client's certificate.
    ClientCertificate,
}

/// `/dav/{user}/`: literal segments and one that names somebody. Matches every path that begins so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathTemplate {
    before: Vec<String>,
    names: Naming,
    after: Vec<String>,
}

/// Reads `{user}`, `{tenant}` or `{domain}`.
fn placeholder(text: &str) -> Option<Naming> {
    match text {
        "{user}" => Some(Naming::User),
        "{tenant}" => Some(Naming::Tenant),
        "{domain}" => Some(Naming::Domain),
        _ => None,
    }
}

fn written(names: Naming) -> &'static str {
    match names {
        Naming::User => "{user}",
        Naming::Tenant => "{tenant}",
        Naming::Domain => "{domain}",
    }
}

impl PathTemplate {
    /// Reads a template: it begins with `/` and has one placeholder, a segment of its own.
    pub fn parse(text: &str) -> Option<Self> {
        let path = text.strip_prefix('/')?;
        let segments: Vec<&str> = path.strip_suffix('/').unwrap_or(path).split('/').collect();
        let at = segments.iter().position(|segment| placeholder(segment).is_some())?;
        let names = placeholder(segments.get(at)?)?;
        let literals = |part: &[&str]| -> Option<Vec<String>> {
            let plain = |segment: &&str| !segment.is_empty() && !segment.contains(['{', '}', '%']);
            part.iter().all(plain).then(|| part.iter().map(ToString::to_string).collect())
        };
        let (before, rest) = segments.split_at(at);
        Some(Self { before: literals(before)?, names, after: literals(rest.get(1..)?)? })
    }

    /// What `path`, in its normal form, names.
    pub fn find<'p>(&self, path: &'p str) -> Option<(Naming, &'p str)> {
        let mut segments = path.strip_prefix('/')?.split('/');
        let mut next_is =
            |wanted: &String| segments.next().filter(|given| given.eq_ignore_ascii_case(wanted));
        self.before.iter().try_for_each(|wanted| next_is(wanted).map(drop))?;
        let name = segments.next().filter(|name| !name.is_empty())?;
        let mut next_is =
            |wanted: &String| segments.next().filter(|given| given.eq_ignore_ascii_case(wanted));
        self.after.iter().try_for_each(|wanted| next_is(wanted).map(drop))?;
        Some((self.names, name))
    }
}

impl Serialize for PathTemplate {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let before: String = self.before.iter().map(|segment| format!("/{segment}")).collect();
        let after: String = self.after.iter().map(|segment| format!("/{segment}")).collect();
        serializer.collect_str(&format_args!("{before}/{}{after}/", written(self.names)))
    }
}

/// Which hosts name somebody: one that is somebody's, or `{tenant}.example.com`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum HostTemplate {
    /// Exactly this host names exactly this key.
    One {
        /// The host, in lower case.
        host: String,
        /// Whom it names.
        #[serde(serialize_with = "shown_key")]
        key: ArchiveKey,
    },
    /// What stands between these two names somebody.
    Many {
        /// Before it.
        before: String,
        /// What it names.
        names: Naming,
        /// Behind it.
        after: String,
    },
}

fn shown_key<S: serde::Serializer>(key: &ArchiveKey, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(key)
}

impl HostTemplate {
    /// Reads a host name with one placeholder in it.
    pub fn parse(text: &str) -> Option<Self> {
        let (before, rest) = text.split_once('{')?;
        let (word, after) = rest.split_once('}')?;
        let names = placeholder(&format!("{{{word}}}"))?;
        let plain = |part: &str| !part.contains(['{', '}', '/', ':', '@']);
        (plain(before) && plain(after) && !(before.is_empty() && after.is_empty())).then(|| Self::Many {
            before: before.to_lowercase(),
            names,
            after: after.to_lowercase(),
        })
    }

    /// Whom `host`, in lower case and without its port, names.
    pub fn find(&self, host: &str, domains: &Domains, arrival: Arrival<'_>) -> Option<ArchiveKey> {
        match self {
            Self::One { host: wanted, key } => (host == wanted).then(|| key.clone()),
            Self::Many { before, names, after } => {
                let name = host.strip_prefix(before.as_str())?.strip_suffix(after.as_str())?;
                // A tenant is one label; a domain has several.
                let whole = *names == Naming::Domain || !name.contains('.');
                whole.then(|| names.key(name.as_bytes(), domains, arrival)).flatten()
            }
        }
    }
}

impl Https {
    /// What differs below `path`, in its normal form: the policy with the longest prefix.
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
    /// The server for outgoing mail, which usher is not.
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
    /// TLS at once, in place of STARTTLS.
    pub implicit_tls: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths() {
        for (template, path, found) in [
            ("/{tenant}/", "/acme/inbox", Some((Naming::Tenant, "acme"))),
            ("/{tenant}/", "/acme", Some((Naming::Tenant, "acme"))),
            ("/{tenant}/", "/", None),
            ("/dav/{user}/", "/DAV/anna@example.com/x", Some((Naming::User, "anna@example.com"))),
            ("/dav/{user}/", "/dav/", None),
            ("/dav/{user}/", "/dav", None),
            ("/dav/{user}/", "/davx/anna", None),
            ("/a/{domain}/b", "/a/example.com/b/c", Some((Naming::Domain, "example.com"))),
            ("/a/{domain}/b", "/a/example.com/c", None),
        ] {
            let template = PathTemplate::parse(template).unwrap();
            assert_eq!(template.find(path), found, "{path}");
        }
        for bad in
            ["{tenant}", "/x", "/{x}/", "/a{tenant}/", "/{tenant}/{user}/", "//{tenant}/", "/%41/{user}"]
        {
            assert_eq!(PathTemplate::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn hosts() {
        let find = |template: &str, host: &str| {
            let template = HostTemplate::parse(template).unwrap();
            template.find(host, &Domains::default(), Arrival::default()).map(|key| key.to_string())
        };
        assert_eq!(find("{tenant}.example.com", "acme.example.com").as_deref(), Some("tenant:acme"));
        assert_eq!(find("{tenant}.example.com", "a.b.example.com"), None);
        assert_eq!(find("{tenant}.example.com", ".example.com"), None);
        assert_eq!(find("archive.{domain}", "archive.example.com").as_deref(), Some("@example.com"));
        assert_eq!(HostTemplate::parse("{tenant}"), None);
    }

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
