//! What is learnt about a backend while connecting to it.

/// What can be learnt about a backend while connecting to it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Learnt {
    /// Its capabilities before login, separated by spaces.
    pub capabilities: Option<String>,
    /// When its certificate expires, in seconds since 1970.
    pub certificate_ends: Option<i64>,
}

impl Learnt {
    /// Fills in from `other` what is not known here.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            capabilities: self.capabilities.or(other.capabilities),
            certificate_ends: self.certificate_ends.or(other.certificate_ends),
        }
    }
}
