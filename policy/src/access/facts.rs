//! What rules look at.

use super::country::Country;
use crate::fold::fold;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;

/// What is known of a login when it is decided on.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'f> {
    /// What is spoken: a word of a closed set.
    pub protocol: &'f str,
    /// The client.
    pub client: SocketAddr,
    /// How the client logs in, or where its request names a user; in lower case. `None`: it names nobody.
    pub mechanism: Option<&'f str>,
    /// Whom the login names: whose archive it is and, if somebody else opens it, who that is. Empty: nobody.
    pub names: &'f [Name],
    /// What the directory says of the archive's user.
    pub attributes: &'f Attributes,
    /// When, in seconds since 1970.
    pub now: i64,
    /// The country of the client's address, where that is known.
    pub country: Option<Country>,
    /// The client has shown a certificate that is trusted.
    pub has_certificate: bool,
}

/// One of those whom a login names, in the normal form of names.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct Name {
    /// The user, with the domain if there is one.
    pub user: Option<Box<str>>,
    /// The tenant that the name itself says.
    pub tenant: Option<Box<str>>,
}

impl Name {
    /// The name that an archive's key has when operators write it: `anna@example.com`, `tenant:acme`, `@example.com`. No
    /// user's key begins like a tenant's.
    pub fn written(key: &str) -> Self {
        match key.strip_prefix("tenant:") {
            Some(tenant) => Self { user: None, tenant: Some(tenant.into()) },
            None => Self { user: Some(key.into()), tenant: None },
        }
    }

    /// The key of the archive, as operators write it.
    pub fn key(&self) -> String {
        match (&self.tenant, &self.user) {
            (Some(tenant), _) => format!("tenant:{tenant}"),
            (None, user) => user.as_deref().unwrap_or_default().to_owned(),
        }
    }

    /// The user's domain.
    pub fn domain(&self) -> Option<&str> {
        self.user.as_ref()?.rsplit_once('@').map(|(_, domain)| domain)
    }
}

impl fmt::Display for Name {
    /// `anna@example.com`, `anna of acme`, `tenant:acme`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.user, &self.tenant) {
            (Some(user), None) => f.write_str(user),
            (Some(user), Some(tenant)) => write!(f, "{user} of {tenant}"),
            (None, tenant) => write!(f, "tenant:{}", tenant.as_deref().unwrap_or_default()),
        }
    }
}

/// What the directory says of a user besides the host, by the attributes' names. All in the normal form of names, as
/// rules compare them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Attributes(BTreeMap<Box<str>, Box<str>>);

impl Attributes {
    /// The value of the attribute called `name`, which is in lower case.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(|value| &**value)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (&**name, &**value))
    }
}

impl<N: AsRef<str>, V: AsRef<str>> FromIterator<(N, V)> for Attributes {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(pairs: I) -> Self {
        let folded = |(name, value): (N, V)| (fold(name.as_ref()).into(), fold(value.as_ref()).into());
        Self(pairs.into_iter().map(folded).collect())
    }
}
