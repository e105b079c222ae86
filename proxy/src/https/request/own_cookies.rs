//! usher's own cookies of a request.

use crate::https::message::cookies;
use http::HeaderMap;
use http::header::{COOKIE, HeaderValue};

/// What they say, still sealed.
pub(super) struct OwnCookies {
    pub(super) user: Option<String>,
    pub(super) member: Option<String>,
}

impl OwnCookies {
    /// Removes them from the request: they are for nobody else.
    pub(super) fn take(headers: &mut HeaderMap) -> Self {
        let mut own = Self { user: None, member: None };
        let fields: Vec<HeaderValue> = headers.get_all(COOKIE).iter().cloned().collect();
        let mut pairs = fields.iter().flat_map(|field| field.as_bytes().split(|b| *b == b';'));
        if !pairs.any(cookies::is_own) {
            return own;
        }
        headers.remove(COOKIE);
        for field in fields {
            let (user, member, rest) = cookies::split(field.as_bytes());
            own.user = own.user.or(user);
            own.member = own.member.or(member);
            if !rest.is_empty()
                && let Ok(rest) = HeaderValue::from_bytes(&rest)
            {
                headers.append(COOKIE, rest);
            }
        }
        own
    }
}
