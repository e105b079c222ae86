//! The forms in which people type who they are: beyond their own name, the domain in front of it, a master user behind
//! it, a shared mailbox that they open, or the tenant that they belong to.

use std::fmt;

/// What separates a domain, a user and a shared mailbox.
const BACKSLASH: char = '\\';

/// How a site's people write names that are more than a name. What is not written in one of these forms is a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoginForms {
    /// Between a user and the master user who logs in for them, as in `anna*admin`.
    pub master: Option<char>,
    /// Names that contain a tenant.
    pub tenants: Vec<TenantTemplate>,
}

impl Default for LoginForms {
    fn default() -> Self {
        Self { master: Some('*'), tenants: Vec::new() }
    }
}

/// A typed name, taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LoginName<'n> {
    /// The archive of a user. Whoever logs in may be somebody else.
    User {
        /// The user, perhaps with a domain.
        user: &'n str,
        /// The domain, if it is not in `user`: the name of a domain, or what comes before its first dot.
        domain: Option<&'n str>,
        /// Nobody else logs in, and nothing but their own mailbox is opened.
        is_own: bool,
    },
    /// The archive of a tenant.
    Tenant {
        /// The tenant.
        tenant: &'n str,
        /// Which of its users.
        user: &'n str,
        /// Nobody else logs in.
        is_own: bool,
    },
}

impl LoginForms {
    /// Who else `name` shows than whose archive it is: a master user, or whoever opens a shared mailbox.
    pub(super) fn others<'n>(&self, name: &'n str) -> Vec<&'n str> {
        let (name, master) = match self.master.and_then(|master| name.split_once(master)) {
            Some((name, master)) => (name, Some(master)),
            None => (name, None),
        };
        let is_tenants = self.tenants.iter().any(|template| template.read(name).is_some());
        let opens = name.rsplit_once(BACKSLASH).map(|(opener, _)| opener);
        let opener = opens.filter(|opener| !is_tenants && opener.contains(['@', BACKSLASH]));
        opener.into_iter().chain(master).collect()
    }

    /// Takes `name` apart; `None`: a part is missing, or there are too many.
    pub(super) fn read<'n>(&self, name: &'n str) -> Option<LoginName<'n>> {
        let (name, is_own) = match self.master.and_then(|master| name.split_once(master)) {
            Some((user, master)) if user.is_empty() || master.is_empty() => return None,
            Some((user, _)) => (user, false),
            None => (name, true),
        };
        if let Some((tenant, user)) = self.tenants.iter().find_map(|template| template.read(name)) {
            return Some(LoginName::Tenant { tenant, user, is_own });
        }
        let mut parts = name.split(BACKSLASH);
        let (first, second, third) = (parts.next()?, parts.next(), parts.next());
        if parts.next().is_some() || [Some(first), second, third].contains(&Some("")) && second.is_some() {
            return None;
        }
        Some(match (second, third) {
            (None, _) => LoginName::User { user: first, domain: None, is_own },
            // Whoever has said a whole address opens a mailbox of the same domain.
            (Some(shared), None) if first.contains('@') => {
                let domain = first.rsplit_once('@').map(|(_, domain)| domain);
                LoginName::User { user: shared, domain, is_own: false }
            }
            (Some(user), None) => LoginName::User { user, domain: Some(first), is_own },
            (Some(_), Some(shared)) => LoginName::User { user: shared, domain: Some(first), is_own: false },
        })
    }
}

/// A name with a tenant in it, such as `{tenant}/{user}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TenantTemplate {
    before: String,
    between: String,
    after: String,
    tenant_first: bool,
}

impl TenantTemplate {
    /// Reads a template: `{tenant}` and `{user}`, once each, with something between them.
    pub fn parse(text: &str) -> Option<Self> {
        let (tenant, user) = (text.find("{tenant}")?, text.find("{user}")?);
        let tenant_first = tenant < user;
        let (first, second) = if tenant_first { ("{tenant}", "{user}") } else { ("{user}", "{tenant}") };
        let (before, rest) = text.split_once(first)?;
        let (between, after) = rest.split_once(second)?;
        let is_plain = |part: &str| !part.contains(['{', '}', BACKSLASH]);
        ([before, between, after].into_iter().all(is_plain) && !between.is_empty()).then(|| Self {
            before: before.to_lowercase(),
            between: between.to_lowercase(),
            after: after.to_lowercase(),
            tenant_first,
        })
    }

    /// What stands between the tenant and the user.
    pub fn between(&self) -> &str {
        &self.between
    }

    /// The tenant and the user in `name`, which is in lower case. A tenant has no separator in it; a user may.
    fn read<'n>(&self, name: &'n str) -> Option<(&'n str, &'n str)> {
        let name = name.strip_prefix(self.before.as_str())?.strip_suffix(self.after.as_str())?;
        let (tenant, user) = match self.tenant_first {
            true => name.split_once(self.between.as_str())?,
            false => name.rsplit_once(self.between.as_str()).map(|(user, tenant)| (tenant, user))?,
        };
        (!tenant.is_empty() && !user.is_empty()).then_some((tenant, user))
    }
}

impl fmt::Display for TenantTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { before, between, after, tenant_first } = self;
        match tenant_first {
            true => write!(f, "{before}{{tenant}}{between}{{user}}{after}"),
            false => write!(f, "{before}{{user}}{between}{{tenant}}{after}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates() {
        for (template, name, tenant) in [
            ("{tenant}/{user}", "acme/anna", Some("acme")),
            ("{tenant}/{user}", "acme/anna@example.com", Some("acme")),
            ("{tenant}/{user}", "acme/a/b", Some("acme")),
            ("{tenant}/{user}", "anna", None),
            ("{tenant}/{user}", "/anna", None),
            ("{tenant}/{user}", "acme/", None),
            ("{user}%{tenant}", "anna%acme", Some("acme")),
            ("{user}%{tenant}", "a%b%acme", Some("acme")),
            ("u:{user}+{tenant}!", "u:anna+acme!", Some("acme")),
            ("u:{user}+{tenant}!", "anna+acme", None),
        ] {
            let template = TenantTemplate::parse(template).unwrap();
            assert_eq!(template.read(name).map(|(tenant, _)| tenant), tenant, "{template} {name}");
        }
        for bad in ["{tenant}", "{user}/x", "{tenant}{user}", "{tenant}\\{user}", "{tenant}/{user}/{x}", ""] {
            assert_eq!(TenantTemplate::parse(bad), None, "{bad}");
        }
    }
}
