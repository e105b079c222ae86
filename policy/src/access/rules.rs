//! All rules, in order.

use super::facts::Facts;
use super::index::Index;
use super::rule::{Action, Rule};
use super::verdict::Verdict;

/// The operator's rules in order, ready to be asked.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    rules: Vec<Rule>,
    all: Index,
    /// For those of whom it is not known what the directory says; `None`: no rule looks at that.
    by_name: Option<Index>,
    /// For those of whom only the address is known.
    by_address: Index,
}

impl Rules {
    /// Those of `rules` that are enabled, in this order.
    pub fn new(rules: Vec<Rule>) -> Self {
        let enabled = || rules.iter().enumerate().filter(|(_, rule)| rule.enabled);
        let looks_at_entry = enabled().any(|(_, rule)| rule.looks_at_entry());
        let all = Index::new(enabled().map(|(at, rule)| (at, rule.clone())).collect());
        let by_name = looks_at_entry.then(|| {
            Index::new(enabled().filter_map(|(at, rule)| Some((at, rule.without_entry()?))).collect())
        });
        let by_address =
            Index::new(enabled().filter_map(|(at, rule)| Some((at, rule.without_login()?))).collect());
        Self { all, by_name, by_address, rules }
    }

    /// All rules, those that are disabled too.
    pub fn as_slice(&self) -> &[Rule] {
        &self.rules
    }

    /// Whether nothing is ever denied.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Whether a verdict may depend on what the directory says.
    pub fn look_at_entry(&self) -> bool {
        self.by_name.is_some()
    }

    /// Whether a verdict may depend on the country.
    pub fn look_at_country(&self) -> bool {
        self.any_condition(|conditions| !conditions.countries.is_empty())
    }

    /// Whether a verdict may depend on the time.
    pub fn look_at_time(&self) -> bool {
        self.any_condition(|conditions| !conditions.times.is_empty())
    }

    /// Whether sessions may be ended by a rule.
    pub fn apply_to_live(&self) -> bool {
        self.rules.iter().any(|rule| rule.enabled && rule.apply_to_live && rule.action == Action::Deny)
    }

    /// The verdict on a login of which everything is known.
    pub fn decide(&self, facts: &Facts<'_>) -> Verdict {
        self.all.decide(facts)
    }

    /// The verdict that everybody of this name gets who logs in like this, whatever the directory says of them:
    /// denied, or not yet.
    pub fn decide_by_name(&self, facts: &Facts<'_>) -> Verdict {
        self.by_name.as_ref().unwrap_or(&self.all).decide(facts)
    }

    /// The verdict that everybody gets who comes from there to log in: denied, or not yet.
    pub fn decide_by_address(&self, facts: &Facts<'_>) -> Verdict {
        self.by_address.decide(facts)
    }

    /// The places of all rules that match, the deciding one first.
    pub fn matching(&self, facts: &Facts<'_>) -> Vec<usize> {
        self.rules.iter().enumerate().filter(|(_, rule)| rule.matches(facts)).map(|(at, _)| at).collect()
    }

    fn any_condition(&self, is_met: impl Fn(&super::Conditions) -> bool) -> bool {
        let mut enabled = self.rules.iter().filter(|rule| rule.enabled);
        enabled.any(|rule| is_met(&rule.conditions) || is_met(&rule.exceptions))
    }
}
