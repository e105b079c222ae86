//! How somebody stands who would log in now, for operators who ask.

use super::attempt::rules_of;
use super::{Guessing, Who, moment};
use usher_policy::guessing::Turn;

/// How a login would fare, by everything that it counts for.
pub(crate) struct Standing {
    /// In sentences.
    pub(crate) told: Vec<String>,
    /// Whether it would be refused untried.
    pub(crate) is_refused: bool,
}

impl Guessing {
    /// How a login would fare, without counting it.
    pub(crate) fn standing(&self, who: &Who, has_address: bool) -> Standing {
        let rules = self.rules();
        let mut standing = Standing { told: Vec::new(), is_refused: false };
        let mut tell = |refused: bool, text: String| {
            standing.is_refused |= refused;
            standing.told.push(text);
        };
        let canonical = who.client.ip().to_canonical();
        if has_address && rules.bars(canonical) {
            tell(true, format!("{canonical} is never let in: `always` of [guessing]"));
        }
        if has_address && self.barred.source(canonical).is_some() {
            tell(true, format!("{canonical} is banned by an operator"));
        }
        if self.barred_user(&who.key, &who.users).is_some() {
            tell(true, "the user is banned by an operator".to_owned());
        }
        if has_address && rules.spares(canonical) {
            tell(false, format!("{canonical} is never held up: `never` of [guessing]"));
            return standing;
        }
        let marks = self.marks(&rules, who, who.at_home(&self.marker));
        let now = moment();
        for marked in marks {
            if !has_address && marked.kind() != "user" {
                continue;
            }
            let known = if marked.kind() == "known" { "known there; " } else { "" };
            let whose = format!("{}: {known}", marked.whose);
            let Some(mut record) = self.table.get(&marked.mark) else {
                tell(false, format!("{whose}no failed logins lately"));
                continue;
            };
            let of = rules_of(&rules, &marked);
            let failures = record.failures(now, &of);
            let next = match record.turn(now, &of, marked.factor, 0, true) {
                Turn::Refused(retry) => format!("refused untried for {} s", retry.as_secs()),
                Turn::After(wait) if wait.is_zero() => "the next login goes on at once".to_owned(),
                Turn::After(wait) => format!("the next login waits {} s", wait.as_secs()),
                Turn::Crowded => "the next login waits for others".to_owned(),
            };
            let is_refused = matches!(record.turn(now, &of, marked.factor, 0, false), Turn::Refused(_));
            tell(is_refused, format!("{whose}{failures} failed logins lately; {next}"));
        }
        standing
    }
}
