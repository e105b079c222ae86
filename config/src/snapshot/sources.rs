//! `[directory]`: the sources that are asked where an archive is.

use crate::shown;
use serde::Serialize;
use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;

/// One source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// The file in the state directory.
    Embedded,
    /// `[directory.postgres]`.
    Postgres(Postgres),
    /// `[directory.ldap]`.
    Ldap(Ldap),
    /// `[directory.redis]`.
    Redis(Redis),
    /// `[directory.http]`.
    Http(Http),
}

impl Source {
    /// Its name in the file, for people and labels.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Embedded => "embedded",
            Self::Postgres(_) => "postgres",
            Self::Ldap(_) => "ldap",
            Self::Redis(_) => "redis",
            Self::Http(_) => "http",
        }
    }

    /// Where it is and how it is reached; `None`: it is within usher.
    pub fn access(&self) -> Option<&SourceAccess> {
        match self {
            Self::Embedded => None,
            Self::Postgres(postgres) => Some(&postgres.access),
            Self::Ldap(ldap) => Some(&ldap.access),
            Self::Redis(redis) => Some(&redis.access),
            Self::Http(http) => Some(&http.access),
        }
    }
}

/// What is remembered of the answers of external sources.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct SourceCache {
    /// Time in which somebody who was found is not asked about again.
    #[serde(with = "shown::duration")]
    pub positive: Duration,
    /// Time in which somebody who was not found is not asked about again.
    #[serde(with = "shown::duration")]
    pub negative: Duration,
    /// Most answers that are remembered of each source.
    pub entries: u32,
    /// Time in which a former answer is used while the source cannot be asked.
    #[serde(with = "shown::duration")]
    pub stale: Duration,
}

impl Default for SourceCache {
    fn default() -> Self {
        Self {
            positive: Duration::from_secs(60),
            negative: Duration::from_secs(5),
            entries: 100_000,
            stale: Duration::from_secs(7 * 24 * 60 * 60),
        }
    }
}

/// Where a source is, and what it asks for before it answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SourceAccess {
    /// Where it is; several: the first that can be reached is asked.
    pub urls: Vec<String>,
    /// Whom its certificate is verified against; `None`: the system's roots.
    pub ca: Option<PathBuf>,
    /// The file with the password, or with the value of a header.
    pub password_file: Option<PathBuf>,
    /// Where the section stands.
    #[serde(skip)]
    pub at: At,
}

/// Where something stands. Two that differ in nothing else are the same.
#[derive(Debug, Clone, Default)]
pub struct At(pub Range<usize>);

impl PartialEq for At {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for At {}

/// A database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Postgres {
    /// Where it is.
    pub access: SourceAccess,
    /// What is asked, with the user as `$1`; `None`: the tables that usher makes.
    pub query: Option<String>,
    /// Whoever is named on this channel (`NOTIFY`) is asked about again.
    pub notify: Option<String>,
}

/// An LDAP directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Ldap {
    /// Where it is.
    pub access: SourceAccess,
    /// Whether TLS begins by STARTTLS (RFC 4513 section 3).
    pub starttls: bool,
    /// Who asks; `None`: nobody in particular.
    pub bind_dn: Option<String>,
    /// Below what is searched.
    pub base: String,
    /// What is searched, with `{user}`, `{name}` and `{domain}`.
    pub filter: String,
    /// What is searched next, if nothing was found.
    pub domain_filter: Option<String>,
    /// The attribute that names the host.
    pub host_attribute: String,
    /// The attribute with the name that the host knows the user by.
    pub login_attribute: Option<String>,
    /// The attributes that access rules may look at.
    pub attributes: Vec<String>,
}

/// A Redis server, or several.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Redis {
    /// Where it is.
    pub access: SourceAccess,
    /// How several belong together.
    pub deployment: RedisDeployment,
    /// The key that is read, with `{user}`, `{name}` and `{domain}`.
    pub key: String,
    /// Whether there is a hash with the fields `host`, `port` and `login`; otherwise a string, the host.
    pub is_hash: bool,
}

/// How Redis servers belong together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum RedisDeployment {
    /// Each has all of it; the first that can be reached is asked.
    Single,
    /// The addresses are those of sentinels, which know where this master is.
    Sentinel(String),
    /// The addresses are those of some members of a cluster.
    Cluster,
}

/// An HTTP service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Http {
    /// Where it is.
    pub access: SourceAccess,
    /// How it is asked.
    pub style: HttpStyle,
    /// The header that says what is in the file with the secret.
    pub secret_header: Option<String>,
}

/// How an HTTP service is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum HttpStyle {
    /// With the user in the address; the answer is a JSON object.
    Json,
    /// As nginx asks its `auth_http`.
    AuthHttp {
        /// Whether the service is told the password.
        send_password: bool,
    },
}
