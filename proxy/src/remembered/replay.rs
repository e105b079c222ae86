//! What other access rules would have said of the logins that are remembered.

use super::{Last, Login, Remembered};
use crate::access::Hearing;
use crate::rule_book::RuleBook;
use std::collections::BTreeMap;
use std::sync::Arc;
use usher_policy::access::{Attributes, Name, Verdict};

/// What would change.
#[derive(Default)]
pub(crate) struct Replay {
    /// How many logins were looked at.
    pub(crate) logins: usize,
    /// Those that would be refused now.
    pub(crate) refused: Changed,
    /// Those that would be let in now.
    pub(crate) admitted: Changed,
    /// How many of which it cannot be said, because only digests of their names are remembered, or the directory cannot
    /// be read.
    pub(crate) unsure: usize,
}

/// Logins on which the verdict changes.
#[derive(Default)]
pub(crate) struct Changed {
    /// Each, with the place of the rule that decides: the next one if it refuses, the running one if it let nobody in.
    pub(crate) logins: Vec<(Login, Last, usize)>,
    /// How many there are for each rule.
    pub(crate) by_rule: BTreeMap<usize, usize>,
}

impl Changed {
    fn add(&mut self, login: Login, last: Last, rule: usize) {
        *self.by_rule.entry(rule).or_default() += 1;
        self.logins.push((login, last, rule));
    }
}

/// One of the two sets of rules, as it can be asked about remembered logins.
struct Side {
    book: Arc<RuleBook>,
    /// For digested names: the rules that cannot be decided by them.
    unsure: Vec<bool>,
}

impl Side {
    fn new(book: &Arc<RuleBook>, remembered: &Remembered, are_digested: bool) -> Self {
        if !are_digested {
            return Self { book: book.clone(), unsure: Vec::new() };
        }
        let (rules, unsure) = book.rules.digested(&|text| remembered.digest(text));
        Self { book: Arc::new(book.with(rules)), unsure }
    }

    /// `None`: it cannot be said.
    fn verdict(&self, login: &Login, last: &Last, attributes: &Attributes) -> Option<Verdict> {
        let hearing = Hearing::new(self.book.clone(), login.visit(last.port)?).at(last.at);
        let verdict = hearing.entirely(attributes);
        let is_unsure = verdict.by.is_some_and(|at| self.unsure.get(at) == Some(&true));
        (!is_unsure).then_some(verdict)
    }
}

/// Asks `next` about the logins that `running` has seen. `attributes`: what the directory says of somebody now.
pub(crate) fn replay(
    remembered: &Remembered,
    running: &Arc<RuleBook>,
    next: &Arc<RuleBook>,
    attributes: impl Fn(&Name) -> Option<Attributes>,
) -> Replay {
    let logins = remembered.logins();
    let mut told = Replay { logins: logins.len(), ..Replay::default() };
    // All are remembered in the same way.
    let are_digested = logins.first().is_some_and(|(login, _)| login.is_digested);
    let [before, after] = [running, next].map(|book| Side::new(book, remembered, are_digested));
    let look_at_entry = !are_digested && [running, next].iter().any(|book| book.rules.look_at_entry());
    for (login, last) in logins {
        let of = match login.names.first().filter(|_| look_at_entry) {
            Some(name) => attributes(name),
            None => Some(Attributes::default()),
        };
        let Some(of) = of else {
            told.unsure += 1;
            continue;
        };
        match (before.verdict(&login, &last, &of), after.verdict(&login, &last, &of)) {
            (Some(before), Some(after)) => match (before.denies(), after.denies()) {
                (false, true) => told.refused.add(login, last, after.by.unwrap_or_default()),
                (true, false) => told.admitted.add(login, last, before.by.unwrap_or_default()),
                _ => {}
            },
            _ => told.unsure += 1,
        }
    }
    for changed in [&mut told.refused, &mut told.admitted] {
        changed.logins.sort_by_key(|(_, last, _)| std::cmp::Reverse(last.count));
    }
    told
}
