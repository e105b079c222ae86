//! Asks the rules that are in force now: a connection may be older than they are.

use super::visit::Visit;
use crate::active::CurrentConfig;
use crate::metrics::Metrics;
use crate::rule_book::RuleBook;
use std::net::SocketAddr;
use std::sync::Arc;
use usher_backends::roster::now;
use usher_config::snapshot::Protocol;
use usher_policy::access::{Attributes, Facts, Verdict};

/// The rules in force.
pub(crate) struct Access {
    config: Arc<CurrentConfig>,
    metrics: Arc<Metrics>,
}

/// One visit, heard by the rules that were in force when it came.
pub(crate) struct Hearing {
    book: Arc<RuleBook>,
    visit: Visit,
    now: i64,
}

impl Access {
    pub(crate) fn new(config: Arc<CurrentConfig>, metrics: Arc<Metrics>) -> Self {
        Self { config, metrics }
    }

    /// Whether a referral to another host changes the directory.
    pub(crate) fn learns_referrals(&self) -> bool {
        self.config.load().snapshot.directory.learn_referrals
    }

    /// Begins to hear a visit; `None`: there are no rules.
    pub(crate) fn hear(&self, visit: impl FnOnce() -> Visit) -> Option<Hearing> {
        let active = self.config.load();
        (!active.access.rules.is_empty()).then(|| Hearing::new(active.access.clone(), visit()))
    }

    /// Whether everybody is denied who comes from there.
    pub(crate) fn denies_address(&self, client: SocketAddr, protocol: Protocol) -> bool {
        let Some(hearing) = self.hear(|| Visit::from(client, protocol)) else { return false };
        self.told(&hearing, hearing.by_address(), "address")
    }

    /// Whether everybody is denied who comes like this, whatever the directory says of them.
    pub(crate) fn denies_name(&self, hearing: &Hearing) -> bool {
        self.told(hearing, hearing.by_name(), "name")
    }

    /// Whether a visit is denied, now that everything is known.
    pub(crate) fn denies(&self, hearing: &Hearing, attributes: &Attributes) -> bool {
        self.told(hearing, hearing.entirely(attributes), "entry")
    }

    /// Tells operators of a denial, and counts it; `by` is what it depends on, a word of a closed set.
    fn told(&self, hearing: &Hearing, verdict: Verdict, by: &'static str) -> bool {
        let Some(at) = verdict.by.filter(|_| verdict.denies()) else { return false };
        let (book, visit) = (&hearing.book, &hearing.visit);
        book.note_denial(at);
        self.metrics.access_denied(visit.protocol, by);
        let name = visit.names.first().map(ToString::to_string).unwrap_or_default();
        tracing::warn!(
            client = %visit.client,
            protocol = visit.protocol.name(),
            rule = book.rule(at).map(|rule| &*rule.name),
            user = name,
            mechanism = visit.mechanism,
            "access denied"
        );
        true
    }
}

impl Hearing {
    /// Hears a visit now.
    pub(crate) fn new(book: Arc<RuleBook>, visit: Visit) -> Self {
        Self { book, visit, now: now() }
    }

    /// Who comes.
    pub(crate) fn visit(&self) -> &Visit {
        &self.visit
    }

    /// The same at another time, in seconds since 1970.
    pub(crate) fn at(self, now: i64) -> Self {
        Self { now, ..self }
    }

    /// Whether the verdict may depend on what the directory says.
    pub(crate) fn needs_entry(&self) -> bool {
        self.book.rules.look_at_entry()
    }

    /// The verdict on everybody who comes from there.
    pub(crate) fn by_address(&self) -> Verdict {
        self.book.rules.decide_by_address(&self.facts(&Attributes::default()))
    }

    /// The verdict on everybody who comes like this, whatever the directory says of them.
    pub(crate) fn by_name(&self) -> Verdict {
        self.book.rules.decide_by_name(&self.facts(&Attributes::default()))
    }

    /// The verdict when everything is known.
    pub(crate) fn entirely(&self, attributes: &Attributes) -> Verdict {
        self.book.rules.decide(&self.facts(attributes))
    }

    /// The places of all rules that match.
    pub(crate) fn matching(&self, attributes: &Attributes) -> Vec<usize> {
        self.book.rules.matching(&self.facts(attributes))
    }

    fn facts<'f>(&'f self, attributes: &'f Attributes) -> Facts<'f> {
        let country = self.book.country(self.visit.client.ip());
        Facts { country, ..self.visit.facts(attributes, self.now) }
    }
}
