//! The name that a host is given, made of the parts of whom it is for.

use super::archive_key::ArchiveKey;
use super::domains::{Named, Says};
use std::fmt;

/// Text with placeholders in it, such as `{local}%{domain}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoginTemplate(Vec<Part>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    User,
    Local,
    Domain,
    Tenant,
}

/// Every placeholder by its name.
const PLACEHOLDERS: [(&str, Part); 4] =
    [("user", Part::User), ("local", Part::Local), ("domain", Part::Domain), ("tenant", Part::Tenant)];

impl LoginTemplate {
    /// Reads a template: at least one of `{user}` and `{local}`, and whatever else.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            let (word, after) = after.split_once('}')?;
            let (_, part) = PLACEHOLDERS.into_iter().find(|(known, _)| *known == word)?;
            if !before.is_empty() {
                parts.push(Part::Text(before.to_owned()));
            }
            parts.push(part);
            rest = after;
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.to_owned()));
        }
        let is_plain = !text.chars().any(char::is_control) && !rest.contains('}');
        let names_somebody = parts.iter().any(|part| matches!(part, Part::User | Part::Local));
        (is_plain && names_somebody).then_some(Self(parts))
    }

    /// The name for whom `named` stands for; `None` where a part of it is not known: then the name goes on as it was
    /// typed.
    pub fn fill(&self, named: &Named) -> Option<String> {
        let (user, tenant) = match (&named.key, &named.says) {
            (ArchiveKey::User(user), Says::Own) => (user, None),
            (ArchiveKey::Tenant(tenant), Says::TenantAnd(user)) => (user, Some(tenant)),
            _ => return None,
        };
        let (local, domain) =
            user.rsplit_once('@').map_or((user.as_str(), None), |(local, domain)| (local, Some(domain)));
        self.0
            .iter()
            .map(|part| match part {
                Part::Text(text) => Some(text.as_str()),
                Part::User => Some(user.as_str()),
                Part::Local => Some(local),
                Part::Domain => domain,
                Part::Tenant => tenant.map(String::as_str),
            })
            .collect()
    }
}

impl fmt::Display for LoginTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|part| match part {
            Part::Text(text) => f.write_str(text),
            Part::User => f.write_str("{user}"),
            Part::Local => f.write_str("{local}"),
            Part::Domain => f.write_str("{domain}"),
            Part::Tenant => f.write_str("{tenant}"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_made_of_their_parts() {
        let own = |user: &str| Named { key: ArchiveKey::User(user.to_owned()), says: Says::Own };
        let tenant =
            Named { key: ArchiveKey::Tenant("acme".to_owned()), says: Says::TenantAnd("anna".to_owned()) };
        let more = Named { key: ArchiveKey::User("anna@example.com".to_owned()), says: Says::More };
        for (template, named, expected) in [
            ("{user}", own("anna@example.com"), Some("anna@example.com")),
            ("{local}%{domain}", own("a@b@example.com"), Some("a@b%example.com")),
            ("{domain}\\{local}", own("anna@example.com"), Some("example.com\\anna")),
            ("{local}", own("anna"), Some("anna")),
            ("{local}@{domain}", own("anna"), None),
            ("{tenant}/{user}", own("anna@example.com"), None),
            ("{tenant}/{user}", tenant.clone(), Some("acme/anna")),
            ("x-{user}-y", tenant, Some("x-anna-y")),
            ("{user}", more, None),
        ] {
            let parsed = LoginTemplate::parse(template).unwrap();
            assert_eq!(parsed.fill(&named).as_deref(), expected, "{template}");
            assert_eq!(parsed.to_string(), template);
        }
        for bad in ["", "anna", "{domain}", "{x}", "{user", "user}", "{user}\n", "{user}}"] {
            assert_eq!(LoginTemplate::parse(bad), None, "{bad}");
        }
    }
}
