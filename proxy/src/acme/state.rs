//! What is known of each name that has, or is to have, a certificate of usher's.

use super::error::OrderError;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use usher_backends::roster::now;
use usher_policy::renewal::{self, Validity, Window};

/// Seconds for which a new certificate stays, or a twentieth of its life.
const SETTLED: i64 = 60 * 60;
/// Time until the authority is asked again that could not be asked.
const LATER: Duration = Duration::from_secs(60 * 60);

/// What is known of a name. Times are seconds since 1970.
#[derive(Debug, Clone, Default)]
pub(crate) struct Known {
    /// Orders that have failed since one succeeded.
    pub(crate) failures: u32,
    /// Why the last one has.
    pub(crate) error: Option<String>,
    /// Nothing is tried before.
    pub(crate) not_before: i64,
    /// The authority has asked to be left alone until then.
    asked_until: i64,
    /// The certificate is new, and stays until then.
    settled: i64,
    /// When the authority wants the certificate to be replaced.
    window: Option<Window>,
    /// When to ask for that again.
    pub(super) ask_again: i64,
    /// Where in the window that is here, from 0 to 1.
    draw: f64,
}

impl Known {
    /// When the certificate is to be replaced.
    pub(crate) fn due(&self, validity: &Validity) -> i64 {
        renewal::due(*validity, self.window, self.draw).max(self.settled)
    }
}

/// What is known of all of them.
#[derive(Default)]
pub(crate) struct States(Mutex<BTreeMap<String, Known>>);

impl States {
    fn all(&self) -> MutexGuard<'_, BTreeMap<String, Known>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is known of `name`.
    pub(crate) fn known(&self, name: &str) -> Known {
        self.all().get(name).cloned().unwrap_or_default()
    }

    /// How many names' last order has failed.
    pub(crate) fn failing(&self) -> usize {
        self.all().values().filter(|known| known.failures > 0).count()
    }

    pub(super) fn keep(&self, wanted: impl Fn(&str) -> bool) {
        self.all().retain(|name, _| wanted(name));
    }

    /// Nobody waits any longer because something has failed.
    pub(super) fn try_again(&self) {
        // But for what the authority itself has asked for.
        self.all().values_mut().for_each(|known| known.not_before = known.asked_until);
    }

    /// There is a certificate of this `validity`. Whatever the authority or a clock says, there is none again at once.
    pub(super) fn succeeded(&self, name: &str, validity: &Validity) {
        let life = validity.not_after.saturating_sub(validity.not_before).max(0);
        let settled = now().saturating_add(SETTLED.min(life / 20));
        self.all().insert(name.to_owned(), Known { settled, ..Known::default() });
    }

    /// An order has failed: `wait` until the next one, and longer if the authority has `asked` for that.
    pub(super) fn failed(&self, name: &str, error: &OrderError, wait: Duration, asked: Duration) {
        let mut all = self.all();
        let known = all.entry(name.to_owned()).or_default();
        known.failures = known.failures.saturating_add(1);
        known.error = Some(format!("{}: {error}", error.stage.name()));
        (known.not_before, known.asked_until) = (after(wait.max(asked)), after(asked));
    }

    /// The authority could not be asked.
    pub(super) fn told_nothing(&self, name: &str) {
        self.told(name, self.known(name).window, LATER);
    }

    /// The authority has said when it wants the certificate to be replaced, or has not.
    pub(super) fn told(&self, name: &str, window: Option<Window>, ask_again: Duration) {
        let mut all = self.all();
        let known = all.entry(name.to_owned()).or_default();
        if known.window != window {
            known.window = window;
            known.draw = draw();
        }
        known.ask_again = after(ask_again);
    }
}

/// The time after `wait`, in seconds since 1970.
fn after(wait: Duration) -> i64 {
    now().saturating_add(i64::try_from(wait.as_secs()).unwrap_or(i64::MAX))
}

/// By chance, from 0 to 1.
fn draw() -> f64 {
    let mut octets = [0; 4];
    let _ = aws_lc_rs::rand::fill(&mut octets);
    f64::from(u32::from_be_bytes(octets)) / f64::from(u32::MAX)
}
