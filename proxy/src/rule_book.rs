//! The access rules of one configuration, with what they look things up in, and how often each has denied something.

use crate::countries::Countries;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use usher_policy::access::{Country, Rule, Rules};

/// The rules of one configuration.
pub(crate) struct RuleBook {
    pub(crate) rules: Arc<Rules>,
    countries: Option<Arc<Countries>>,
    denials: Box<[AtomicU64]>,
}

impl RuleBook {
    /// The rules, and where addresses are.
    pub(crate) fn new(rules: Arc<Rules>, countries: Option<Countries>) -> Self {
        let denials = rules.as_slice().iter().map(|_| AtomicU64::new(0)).collect();
        Self { rules, countries: countries.map(Arc::new), denials }
    }

    /// Other rules, which look addresses up in the same place.
    pub(crate) fn with(&self, rules: Rules) -> Self {
        Self { countries: self.countries.clone(), ..Self::new(Arc::new(rules), None) }
    }

    /// The rule at this place.
    pub(crate) fn rule(&self, at: usize) -> Option<&Rule> {
        self.rules.as_slice().get(at)
    }

    /// Counts a denial by the rule at this place.
    pub(crate) fn note_denial(&self, at: usize) {
        if let Some(count) = self.denials.get(at) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How often the rule at this place has denied something since this configuration was loaded.
    pub(crate) fn denials(&self, at: usize) -> u64 {
        self.denials.get(at).map_or(0, |count| count.load(Ordering::Relaxed))
    }

    /// Where `address` is, if a rule looks at that.
    pub(crate) fn country(&self, address: IpAddr) -> Option<Country> {
        self.countries.as_ref().filter(|_| self.rules.look_at_country())?.of(address)
    }
}
