//! Finds the name of a user, tenant or domain in a path or a host name.

use super::archive_key::ArchiveKey;
use super::domains::{Arrival, Domains};
use crate::access::Name;
use serde::Serialize;

/// What kind of key a name stands for.
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
    /// The key for the name `typed`; `None` for a name that no archive can have.
    pub fn key(self, typed: &[u8], domains: &Domains, arrival: Arrival<'_>) -> Option<ArchiveKey> {
        match self {
            Self::User => domains.user(typed, arrival),
            Self::Tenant => Domains::tenant(typed),
            Self::Domain => domains.domain(typed),
        }
    }
}

impl Naming {
    /// Everybody whom the name `typed` shows, as access rules see them.
    pub fn shown(self, typed: &[u8], domains: &Domains, arrival: Arrival<'_>) -> Vec<Name> {
        match self {
            Self::User => domains.shown(typed, arrival),
            Self::Tenant | Self::Domain => {
                let key = self.key(typed, domains, arrival);
                key.iter().map(|key| Name::written(&key.to_string())).collect()
            }
        }
    }
}

/// `/dav/{user}/`: literal segments and one placeholder. Matches every path that begins with them.
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

    /// The name that `path`, in its normal form, contains.
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

/// Which host names name somebody: a fixed one, or a pattern such as `{tenant}.example.com`.
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
    /// The text between these two is the name.
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

    /// The key that `host`, in lower case and without a port, names.
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
}
