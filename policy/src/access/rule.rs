//! One rule.

use super::conditions::{Conditions, Which};
use super::facts::Facts;

/// What a rule does with the logins that it matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// They may go on.
    Allow,
    /// They may not.
    Deny,
}

impl Action {
    /// A word of a closed set.
    pub fn name(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
        }
    }
}

/// An access rule.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    /// What the operator calls it.
    pub name: Box<str>,
    /// What it does.
    pub action: Action,
    /// A disabled rule matches nothing.
    pub enabled: bool,
    /// Whether sessions that it denies are ended when it comes into force.
    pub apply_to_live: bool,
    /// All must hold.
    pub conditions: Conditions,
    /// None may hold.
    pub exceptions: Conditions,
}

impl Rule {
    /// Whether it decides this login.
    ///
    /// A login may show two names: whose archive it is, and who opens it. To be denied, one of them is enough; to be
    /// allowed, both must be named.
    pub fn matches(&self, facts: &Facts<'_>) -> bool {
        let (wanted, excepted) = match self.action {
            Action::Deny => (Which::Any, Which::All),
            Action::Allow => (Which::All, Which::Any),
        };
        self.enabled
            && self.conditions.all_hold(facts, wanted)
            && (self.exceptions.is_empty() || !self.exceptions.any_holds(facts, excepted))
    }

    /// Whether it looks at what the directory says.
    pub(super) fn looks_at_entry(&self) -> bool {
        self.conditions.look_at_entry() || self.exceptions.look_at_entry()
    }

    /// The rule for those of whom it is not known what the directory says. A rule that denies them denies every such
    /// login; `None`: it denies none for certain. A rule that allows them allows every one that it might.
    pub(super) fn without_entry(&self) -> Option<Self> {
        let (conditions, exceptions) = (&self.conditions, &self.exceptions);
        match self.action {
            Action::Deny if exceptions.look_at_entry() || !conditions.attributes.is_empty() => None,
            // The name itself may say the tenant; if it does not, the rule does not match.
            Action::Deny => Some(self.clone()),
            Action::Allow => Some(self.with(conditions.without_entry(), exceptions.without_entry())),
        }
    }

    /// The same for those of whom it is not known either who they are and how they log in.
    pub(super) fn without_login(&self) -> Option<Self> {
        let (conditions, exceptions) = (&self.conditions, &self.exceptions);
        match self.action {
            Action::Deny if conditions.without_all().look_at_login() || exceptions.look_at_login() => None,
            Action::Deny => Some(self.with(conditions.without_all(), exceptions.clone())),
            Action::Allow => Some(self.with(conditions.without_login(), exceptions.without_login())),
        }
    }

    fn with(&self, conditions: Conditions, exceptions: Conditions) -> Self {
        Self { conditions, exceptions, name: self.name.clone(), ..*self }
    }
}
