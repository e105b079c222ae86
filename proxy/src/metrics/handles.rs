//! Handles of metrics whose labels are words of closed sets, found again without making a key of them.

use arc_swap::ArcSwap;
use std::sync::Arc;

/// Most labels of a metric that is found this way.
const LABELS: usize = 4;

/// A metric and the values of its labels.
type Words = (&'static str, [&'static str; LABELS]);

/// The handles that have been asked for, in one row: they are few, as there are few combinations of words, and those that
/// are asked for often have come first.
pub(super) struct Handles<H>(ArcSwap<Vec<(Words, H)>>);

/// Whether these are the same words, by where they are: a word that the compiler has put in two places is known twice.
fn is_same(one: &Words, other: &Words) -> bool {
    let is_same = |one: &str, other: &str| std::ptr::eq(one, other);
    is_same(one.0, other.0) && one.1.iter().zip(other.1).all(|(one, other)| is_same(one, other))
}

impl<H> Default for Handles<H> {
    fn default() -> Self {
        Self(ArcSwap::default())
    }
}

impl<H: Clone> Handles<H> {
    /// Uses the handle of the metric called `name` with these labels, which `make` makes the first time.
    pub(super) fn with<const N: usize>(
        &self,
        name: &'static str,
        labels: [(&'static str, &'static str); N],
        make: impl FnOnce(&[(&'static str, &'static str)]) -> H,
        uses: impl FnOnce(&H),
    ) {
        const { assert!(N <= LABELS, "more labels than any metric has") };
        let mut values = [""; LABELS];
        values.iter_mut().zip(labels).for_each(|(slot, (_, value))| *slot = value);
        let words = (name, values);
        if let Some((_, handle)) = self.0.load().iter().find(|(known, _)| is_same(known, &words)) {
            return uses(handle);
        }
        let handle = make(&labels);
        uses(&handle);
        self.0.rcu(|known| {
            let mut all = Vec::clone(known);
            // Somebody else may have been first.
            if !all.iter().any(|(known, _)| is_same(known, &words)) {
                all.push((words, handle.clone()));
            }
            Arc::new(all)
        });
    }
}
