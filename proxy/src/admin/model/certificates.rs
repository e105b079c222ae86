//! Certificates.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// All certificates that clients may be shown.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct Certificates {
    /// Those that there are, and those that are still to be ordered.
    pub(crate) certificates: Vec<Certificate>,
}

/// A certificate, or the lack of one.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct Certificate {
    /// The name that it was ordered for; `None`: it is the operator's, and for what it says itself.
    pub(crate) name: Option<String>,
    /// The file with the chain; `None`: there is none yet.
    pub(crate) chain: Option<String>,
    /// When it ends, in seconds since 1970.
    pub(crate) not_after: Option<i64>,
    /// When usher will replace it.
    pub(crate) replaced_at: Option<i64>,
    /// Orders that have failed since one succeeded.
    pub(crate) failures: u32,
    /// Why the last one has.
    pub(crate) error: Option<String>,
    /// When the next one is tried, after a failure.
    pub(crate) again_at: Option<i64>,
}
