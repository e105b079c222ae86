//! The answer.

use super::rule::Action;

/// What the rules say of a login.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// Allowed or denied.
    pub action: Action,
    /// The place of the rule that decided, counted from 0; `None`: no rule matched.
    pub by: Option<usize>,
}

impl Verdict {
    /// Whether the login is denied.
    pub fn denies(self) -> bool {
        self.action == Action::Deny
    }
}
