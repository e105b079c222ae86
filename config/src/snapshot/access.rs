//! `[access]` and `[[access_rule]]`.

use crate::named::Named;
use crate::shown;
use serde::Serialize;
use std::sync::Arc;
use std::time::Duration;
use usher_policy::access::Rules;

/// Who may log in, and what is remembered of those who do.
#[derive(Debug, Clone, Serialize)]
pub struct Access {
    /// Where the countries of addresses are looked up.
    #[serde(skip)]
    pub countries: Option<Named>,
    /// How long logins are remembered, for trying out other rules on them; zero: not at all.
    #[serde(with = "shown::duration")]
    pub remember: Duration,
    /// Most logins that are remembered; those of one user from one address in the same way count once.
    pub remembered_logins: u32,
    /// Remember digests instead of names.
    pub hash: bool,
    /// The rules, in order.
    #[serde(skip)]
    pub rules: Arc<Rules>,
}

impl Default for Access {
    fn default() -> Self {
        Self {
            countries: None,
            remember: Duration::from_secs(24 * 60 * 60),
            remembered_logins: 100_000,
            hash: false,
            rules: Arc::default(),
        }
    }
}
