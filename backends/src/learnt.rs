//! What is learnt of a backend on the way to it.

/// What can be learnt of a backend on the way to it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Learnt {
    /// Its capabilities before login, separated by spaces.
    pub capabilities: Option<String>,
    /// The end of its certificate's validity, in seconds since 1970.
    pub certificate_ends: Option<i64>,
}

impl Learnt {
    /// What is not known here, from `other`.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            capabilities: self.capabilities.or(other.capabilities),
            certificate_ends: self.certificate_ends.or(other.certificate_ends),
        }
    }
}
