//! A request that says who somebody is and proves it, or claims to.

use super::credential::CredentialDigest;
use http::{Method, Uri};
use std::sync::Arc;
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

/// A request that is a login.
pub(crate) struct HttpLogin {
    /// Whom it names, as failures are counted; empty: that cannot be told.
    pub(crate) users: Arc<[String]>,
    /// The place of the identity whose form it is.
    pub(crate) form: Option<usize>,
    /// It is both a form and a credential: nobody can tell which of them is judged.
    pub(crate) is_twofold: bool,
    /// It has a token rather than a password.
    pub(crate) is_token: bool,
    /// Of the credential; a form has none.
    pub(crate) digest: Option<CredentialDigest>,
}

/// What stands for what is asked for: one path may be open to everybody by one method or query, and not by another.
pub(crate) fn target(method: &Method, uri: &Uri) -> u64 {
    let asked = uri.path_and_query().map_or("", |asked| asked.as_str());
    xxh3_64_with_seed(asked.as_bytes(), xxh3_64(method.as_str().as_bytes()))
}
