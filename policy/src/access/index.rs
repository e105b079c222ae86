//! Finds the rules that may match a login among thousands that cannot.
//!
//! Each rule is filed under one of its conditions: under the values of the one that fewest rules share. A login is shown
//! only the rules that are filed under something it has, and those that cannot be filed.

use super::conditions::Conditions;
use super::country::Country;
use super::facts::Facts;
use super::pattern::Pattern;
use super::rule::{Action, Rule};
use super::verdict::Verdict;
use aho_corasick::{AhoCorasick, MatchKind};
use ipnet::IpNet;
use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

/// A rule's number among those of an index.
type At = u32;

/// What a rule can be filed under.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Label<'r> {
    Protocol(&'r str),
    Mechanism(&'r str),
    Network(IpNet),
    Country(Country),
    User(&'r str),
    Domain(&'r str),
    Attribute(&'r str, &'r str),
}

#[derive(Debug, Clone, Default)]
pub(super) struct Index {
    /// In order, with their places among all rules.
    rules: Vec<(usize, Rule)>,
    protocols: HashMap<Box<str>, Vec<At>>,
    mechanisms: HashMap<Box<str>, Vec<At>>,
    networks: Networks,
    countries: HashMap<Country, Vec<At>>,
    users: Texts,
    domains: Texts,
    attributes: BTreeMap<Box<str>, Texts>,
    /// Those that are shown to every login.
    others: Vec<At>,
}

impl Index {
    /// An index of `rules`.
    pub(super) fn new(rules: Vec<(usize, Rule)>) -> Self {
        // What comes after a rule that matches everything is never asked.
        let last =
            rules.iter().position(|(_, rule)| rule.conditions.is_empty() && rule.exceptions.is_empty());
        let mut rules = rules;
        rules.truncate(last.map_or(rules.len(), |last| last + 1));
        // If the rest denies nobody, it need not be asked either.
        let denies = rules.iter().rposition(|(_, rule)| rule.action == Action::Deny);
        rules.truncate(denies.map_or(0, |last| last + 1));
        let mut index = Self::default();
        let mut shared: HashMap<Label<'_>, usize> = HashMap::new();
        for label in rules.iter().flat_map(|(_, rule)| labels(&rule.conditions)).flatten() {
            *shared.entry(label).or_default() += 1;
        }
        let mut drawers = Drawers::default();
        for (at, (_, rule)) in (0..).zip(&rules) {
            let most_telling = labels(&rule.conditions)
                .into_iter()
                .min_by_key(|labels| labels.iter().map(|label| shared[label]).sum::<usize>());
            match most_telling {
                Some(labels) => labels.into_iter().for_each(|label| index.file(label, at, &mut drawers)),
                None => index.others.push(at),
            }
        }
        (index.users, index.domains) = (Texts::new(drawers.users), Texts::new(drawers.domains));
        let attributes = drawers.attributes.into_iter();
        index.attributes = attributes.map(|(name, texts)| (name.into(), Texts::new(texts))).collect();
        index.rules = rules;
        index
    }

    fn file<'r>(&mut self, label: Label<'r>, at: At, drawers: &mut Drawers<'r>) {
        match label {
            Label::Protocol(word) => self.protocols.entry(word.into()).or_default().push(at),
            Label::Mechanism(word) => self.mechanisms.entry(word.into()).or_default().push(at),
            Label::Network(network) => self.networks.put(network, at),
            Label::Country(country) => self.countries.entry(country).or_default().push(at),
            Label::User(text) => drawers.users.entry(text).or_default().push(at),
            Label::Domain(text) => drawers.domains.entry(text).or_default().push(at),
            Label::Attribute(name, text) => {
                drawers.attributes.entry(name).or_default().entry(text).or_default().push(at);
            }
        }
    }

    /// Whether nothing is ever denied.
    pub(super) fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// The verdict of the first rule that matches.
    pub(super) fn decide(&self, facts: &Facts<'_>) -> Verdict {
        let none = Verdict { action: Action::Allow, by: None };
        if self.rules.is_empty() {
            return none;
        }
        let mut shown = self.others.clone();
        let mut show = |found: Option<&Vec<At>>| shown.extend(found.into_iter().flatten());
        show(self.protocols.get(facts.protocol));
        show(facts.mechanism.and_then(|word| self.mechanisms.get(word)));
        show(facts.country.and_then(|country| self.countries.get(&country)));
        self.networks.find(facts.client.ip(), &mut shown);
        for name in facts.names {
            name.user.iter().for_each(|user| self.users.find(user, &mut shown));
            name.domain().iter().for_each(|domain| self.domains.find(domain, &mut shown));
        }
        if !self.attributes.is_empty() {
            for (name, value) in facts.attributes.iter() {
                self.attributes.get(name).iter().for_each(|texts| texts.find(value, &mut shown));
            }
        }
        shown.sort_unstable();
        shown.dedup();
        let first = shown
            .into_iter()
            .filter_map(|at| self.rules.get(at as usize))
            .find(|(_, rule)| rule.matches(facts));
        first.map_or(none, |(place, rule)| Verdict { action: rule.action, by: Some(*place) })
    }
}

/// What rules are filed under, for each condition under which a rule can be. A login that matches the rule has one of
/// each.
fn labels(conditions: &Conditions) -> Vec<Vec<Label<'_>>> {
    // A pattern without text is found nowhere.
    let texts = |patterns: &[Pattern]| patterns.iter().all(|pattern| !pattern.literal().is_empty());
    let mut all = vec![
        conditions.protocols.iter().map(|word| Label::Protocol(word)).collect::<Vec<_>>(),
        conditions.mechanisms.iter().map(|word| Label::Mechanism(word)).collect(),
        conditions.countries.iter().map(|country| Label::Country(*country)).collect(),
        conditions.addresses.iter().flat_map(|range| range.networks()).map(Label::Network).collect(),
    ];
    if texts(&conditions.users) {
        all.push(conditions.users.iter().map(|pattern| Label::User(pattern.literal())).collect());
    }
    if texts(&conditions.domains) {
        all.push(conditions.domains.iter().map(|pattern| Label::Domain(pattern.literal())).collect());
    }
    for (name, patterns) in &conditions.attributes {
        if texts(patterns) {
            all.push(patterns.iter().map(|pattern| Label::Attribute(name, pattern.literal())).collect());
        }
    }
    all.retain(|labels| !labels.is_empty());
    all
}

/// The texts that rules are filed under, while that is being done.
#[derive(Default)]
struct Drawers<'r> {
    users: Drawer<'r>,
    domains: Drawer<'r>,
    attributes: BTreeMap<&'r str, Drawer<'r>>,
}

type Drawer<'r> = BTreeMap<&'r str, Vec<At>>;

/// Finds all known texts in a text at once.
#[derive(Debug, Clone, Default)]
struct Texts {
    /// `None` where no text is known, or the texts are too many for the library.
    finder: Option<AhoCorasick>,
    /// The rules for each text.
    filed: Vec<Vec<At>>,
    /// The rules that are shown to every text if there is no finder.
    unfiled: Vec<At>,
}

impl Texts {
    fn new(texts: Drawer<'_>) -> Self {
        if texts.is_empty() {
            return Self::default();
        }
        match AhoCorasick::builder().match_kind(MatchKind::Standard).build(texts.keys()) {
            Ok(finder) => {
                Self { finder: Some(finder), filed: texts.into_values().collect(), unfiled: Vec::new() }
            }
            Err(_) => Self { unfiled: texts.into_values().flatten().collect(), ..Self::default() },
        }
    }

    fn find(&self, text: &str, shown: &mut Vec<At>) {
        shown.extend(&self.unfiled);
        let Some(finder) = &self.finder else { return };
        for found in finder.find_overlapping_iter(text) {
            shown.extend(self.filed.get(found.pattern().as_usize()).into_iter().flatten());
        }
    }
}

/// Finds all known networks of an address.
#[derive(Debug, Clone, Default)]
struct Networks {
    known: HashMap<IpNet, Vec<At>>,
    /// The lengths of their prefixes, of IPv4 and of IPv6.
    lengths: [Vec<u8>; 2],
}

impl Networks {
    fn put(&mut self, network: IpNet, at: At) {
        let lengths = &mut self.lengths[usize::from(network.addr().is_ipv6())];
        if !lengths.contains(&network.prefix_len()) {
            lengths.push(network.prefix_len());
        }
        self.known.entry(network).or_default().push(at);
    }

    fn find(&self, address: IpAddr, shown: &mut Vec<At>) {
        let address = address.to_canonical();
        for length in &self.lengths[usize::from(address.is_ipv6())] {
            let Ok(network) = IpNet::new(address, *length) else { continue };
            shown.extend(self.known.get(&network.trunc()).into_iter().flatten());
        }
    }
}
