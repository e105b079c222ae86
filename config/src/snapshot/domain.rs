//! `oauth` and `mechanisms` of `[[domain]]`.

use crate::shown;
use serde::Serialize;
use usher_wire::imap::sasl::Mechanism;

/// Who issues the tokens of a domain's users.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OAuth {
    /// The domain, by its name.
    pub domain: String,
    /// The issuer, as its tokens name it (`iss`, RFC 7519 section 4.1.1).
    pub issuer: String,
    /// The claim that names the user.
    pub claim: String,
    /// What mail clients are to ask for, separated by spaces (RFC 6749 section 3.3).
    pub scope: Option<String>,
    /// Where users log in.
    pub auth_url: Option<String>,
    /// Where clients get their tokens.
    pub token_url: Option<String>,
}

/// How a domain's users may log in by IMAP.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DomainMechanisms {
    /// The domain, by its name.
    pub domain: String,
    /// The only ways.
    #[serde(serialize_with = "shown::mechanisms")]
    pub mechanisms: Vec<Mechanism>,
}
