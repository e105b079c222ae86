//! How changes are announced.

use crate::directory::key_of;
use crate::sources::engine::News;
use usher_policy::ArchiveKey;

/// What a notification of usher's own tables says: the kind and the key, or nothing in particular.
pub(super) fn shipped(payload: &str) -> News {
    let parts = payload.split_once(':').and_then(|(kind, key)| Some((kind.parse().ok()?, key)));
    parts.map_or(News::Everything, |(kind, key)| News::Of(key_of(kind, key.to_owned())))
}

/// What a notification of a site's own says: a user's name, `@` and a domain, or nothing in particular.
pub(super) fn own(payload: &str) -> News {
    let name = payload.trim().to_lowercase();
    if name.is_empty() {
        return News::Everything;
    }
    News::Of(match (name.strip_prefix("tenant:"), name.strip_prefix('@')) {
        (Some(tenant), _) => ArchiveKey::Tenant(tenant.to_owned()),
        (None, Some(domain)) => ArchiveKey::Domain(domain.to_owned()),
        (None, None) => ArchiveKey::User(name),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_notification_says_whom_to_forget() {
        let anna = || ArchiveKey::User("anna@example.com".to_owned());
        assert_eq!(shipped("0:anna@example.com"), News::Of(anna()));
        assert_eq!(shipped("2:example.com"), News::Of(ArchiveKey::Domain("example.com".to_owned())));
        assert_eq!(shipped(""), News::Everything);
        assert_eq!(own(" Anna@Example.com "), News::Of(anna()));
        assert_eq!(own("@example.com"), News::Of(ArchiveKey::Domain("example.com".to_owned())));
        assert_eq!(own(""), News::Everything);
    }
}
