//! A gate that counts: whether it is closed and how many are inside is kept in a single atomic value.

use std::sync::atomic::{AtomicU64, Ordering};

const CLOSED: u64 = 1 << 63;

/// Why a gate lets nobody in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Denied {
    /// It is closed.
    Closed,
    /// The limit has been reached.
    Full,
}

/// The gate. Once it is closed, nobody enters, so a count of zero behind a closed gate is final.
#[derive(Default)]
pub struct AdmissionCounter(AtomicU64);

impl AdmissionCounter {
    /// Enters, unless the gate is closed or `most` are inside.
    ///
    /// # Errors
    /// [`Denied`]; the count is unchanged.
    pub fn enter(&self, most: Option<u32>) -> Result<(), Denied> {
        let step = |now: u64| {
            let free = most.is_none_or(|most| now < u64::from(most));
            (now & CLOSED == 0 && free).then_some(now + 1)
        };
        match self.0.fetch_update(Ordering::AcqRel, Ordering::Acquire, step) {
            Ok(_) => Ok(()),
            Err(now) if now & CLOSED != 0 => Err(Denied::Closed),
            Err(_) => Err(Denied::Full),
        }
    }

    /// Leaves. Only those who entered may do so, once.
    pub fn leave(&self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }

    /// Closes the gate; those inside stay.
    pub fn close(&self) {
        self.0.fetch_or(CLOSED, Ordering::AcqRel);
    }

    /// Reopens the gate.
    pub fn open(&self) {
        self.0.fetch_and(!CLOSED, Ordering::AcqRel);
    }

    /// How many are inside.
    pub fn count(&self) -> u32 {
        u32::try_from(self.0.load(Ordering::Acquire) & !CLOSED).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_enters_a_closed_gate_and_all_leave_it() {
        let gate = AdmissionCounter::default();
        let entered = std::thread::scope(|scope| {
            let walkers: Vec<_> = (0..4)
                .map(|_| {
                    scope.spawn(|| {
                        let mut entered = 0;
                        while gate.enter(None).is_ok() {
                            entered += 1;
                            if entered % 2 == 0 {
                                gate.leave();
                                gate.leave();
                            }
                            if entered == 10_001 {
                                gate.close();
                            }
                        }
                        entered % 2
                    })
                })
                .collect();
            walkers.into_iter().map(|walker| walker.join().unwrap()).sum::<u32>()
        });
        assert_eq!(gate.count(), entered);
        assert_eq!(gate.enter(None), Err(Denied::Closed));
    }

    #[test]
    fn a_full_gate_lets_in_after_one_has_left() {
        let gate = AdmissionCounter::default();
        gate.enter(Some(1)).unwrap();
        assert_eq!(gate.enter(Some(1)), Err(Denied::Full));
        gate.leave();
        assert_eq!(gate.enter(Some(1)), Ok(()));
    }
}
