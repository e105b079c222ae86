//! A request that says who somebody is and proves it, or claims to.

use super::credential::CredentialDigest;
use std::sync::Arc;

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
