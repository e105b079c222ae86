//! `oauth` of `[[domain]]`.

use serde::Serialize;

/// Who issues the tokens of a domain's users.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OAuth {
    /// The domain, by its name.
    pub domain: String,
    /// The issuer, as its tokens name it (`iss`, RFC 7519 section 4.1.1).
    pub issuer: String,
    /// The claim that names the user.
    pub claim: String,
}
