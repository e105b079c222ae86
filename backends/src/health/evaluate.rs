//! Draws conclusions from the results of probes and sessions.

use super::scheduler::{Health, Target, Watch, lock};
use crate::connect::{Cause, ConnectFault, Stage};
use crate::roster::{BackendId, Out, Service, now};
use std::time::Duration;
use tokio::time::Instant;
use usher_config::health::ImapProbe;
use usher_policy::verdict::{Outcome, Turn};

impl Health {
    /// A real session reached the service, or failed to.
    pub fn note_session(&self, id: &BackendId, service: Service, result: Result<(), &ConnectFault>) {
        let Some(target) = lock(&self.targets).get(&(id.clone(), service)).cloned() else { return };
        match result {
            // The probes log in; a session that only got as far as the greeting says nothing about that.
            Ok(()) if matches!(target.policy.imap, ImapProbe::Login { .. }) && service == Service::Imap => {}
            Ok(()) => {
                let watch = lock(&target.watch);
                let settled = watch.verdict.is_up() != watch.verdict.is_in_doubt();
                drop(watch);
                if !settled {
                    self.note(&target, Outcome::Good, "", true);
                }
            }
            Err(ConnectFault { cause: Cause::Full, .. }) => {}
            Err(fault) => {
                match fault.stage {
                    // The result of one user's login says nothing about the host.
                    Stage::Login => return,
                    // Neither does one request, but it is worth checking whether anything is answered there.
                    Stage::Response => {
                        lock(&target.watch).deeper = true;
                        target.wake.notify_one();
                        return;
                    }
                    Stage::Resolve | Stage::Dial | Stage::ProxyHeader | Stage::Tls | Stage::Greeting => {}
                }
                if !matches!(fault.stage, Stage::Resolve | Stage::Dial) {
                    lock(&target.watch).deeper = true;
                }
                if fault.is_refused_connection() {
                    let mut watch = lock(&target.watch);
                    watch.refused = watch.refused.max(1);
                }
                let outcome =
                    if fault.may_be_meant_for_one_client() { Outcome::Unknown } else { fault.outcome() };
                self.note(&target, outcome, &format!("a session failed: {fault}"), true);
                target.wake.notify_one();
            }
        }
    }

    pub(super) fn note(&self, target: &Target, outcome: Outcome, why: &str, passive: bool) {
        if outcome == Outcome::Unknown {
            // Raises doubt all the same, so that the next probe comes soon; that probe decides.
            let mut watch = lock(&target.watch);
            if passive && watch.verdict.is_up() && watch.verdict.note(false) == Some(Turn::Down) {
                watch.verdict.spare();
            }
            return;
        }
        self.evaluate_doubt(target, outcome);
        let alone = lock(&self.ejecting);
        let mut watch = lock(&target.watch);
        if watch.retired {
            return;
        }
        // Read under the lock: whoever changes the doubt examines this watch either before or after.
        let suspected = lock(&self.doubt).holds;
        let turn = watch.verdict.note(outcome == Outcome::Good);
        match turn {
            Some(Turn::Down) if passive && !self.may_eject(target) => watch.verdict.spare(),
            Some(Turn::Down) => {
                watch.turned = Instant::now();
                (watch.cause, watch.passive) = (outcome, passive);
                why.clone_into(&mut watch.why);
                watch.spared = suspected && outcome == Outcome::TimedOut;
                if !watch.spared {
                    self.take_out(target, &watch);
                }
            }
            Some(Turn::Up) => {
                watch.turned = Instant::now();
                watch.deeper = false;
                if !std::mem::take(&mut watch.spared) {
                    self.take_back(target, Some(target.policy.ramp));
                }
            }
            None if watch.verdict.is_up() => {
                // A probe that went as deep as the failed session found nothing wrong.
                watch.deeper &= passive || outcome != Outcome::Good;
            }
            // A refusal comes from the host itself, whatever the checker is suspected of.
            None if watch.spared && outcome == Outcome::Refused => {
                watch.spared = false;
                (watch.cause, watch.passive) = (outcome, passive);
                why.clone_into(&mut watch.why);
                self.take_out(target, &watch);
            }
            // A probe confirms what sessions have found.
            None if watch.passive && !passive && !watch.spared && outcome != Outcome::Good => {
                watch.passive = false;
                self.fleet.take_out(&target.id, out(target, &watch));
            }
            None => {}
        }
        drop(alone);
    }

    fn take_out(&self, target: &Target, watch: &Watch) {
        self.fleet.take_out(&target.id, out(target, watch));
        self.observer.health_turned(&target.id, target.service, Some(&watch.why));
    }

    fn take_back(&self, target: &Target, ramp: Option<Duration>) {
        self.fleet.take_back(&target.id, target.service, ramp);
        self.observer.health_turned(&target.id, target.service, None);
    }

    /// Failed sessions alone take out at most half of an array: the clients may be at fault.
    fn may_eject(&self, target: &Target) -> bool {
        let roster = self.fleet.roster();
        let array = target.id.array.as_ref().and_then(|array| roster.array(array));
        array.is_none_or(|array| {
            let passively = array.members.iter().filter(|member| {
                member.standing.out.iter().any(|out| out.service == target.service && out.passive)
            });
            (passively.count() + 1) * 2 <= array.members.len()
        })
    }

    /// Takes the result of asking a service into account, and updates the doubt if that is due.
    fn evaluate_doubt(&self, target: &Target, outcome: Outcome) {
        let long_out = {
            let watch = lock(&target.watch);
            !watch.verdict.is_up() && !watch.spared && watch.turned.elapsed() > recently(target)
        };
        let turned = {
            let mut doubt = lock(&self.doubt);
            let key = (target.id.clone(), target.service);
            if long_out {
                // It was out before the others, so it says nothing about what is happening to them now.
                doubt.suspicion.forget(&key);
            } else {
                doubt.suspicion.note(key, outcome == Outcome::TimedOut);
            }
            let before = doubt.holds;
            doubt.holds = doubt.suspicion.holds();
            (before != doubt.holds).then_some(doubt.holds)
        };
        if let Some(holds) = turned {
            self.observer.checker_suspected(holds);
            let targets: Vec<_> = lock(&self.targets).values().cloned().collect();
            targets.iter().for_each(|target| self.reconsider(target));
        }
    }

    /// The doubt has arisen or gone: services that timed out together are put back into their last good state, or are
    /// one failure away from being out.
    fn reconsider(&self, target: &Target) {
        let mut watch = lock(&target.watch);
        let suspected = lock(&self.doubt).holds;
        if watch.verdict.is_up() || watch.retired {
            return;
        }
        let together = watch.turned.elapsed() <= recently(target);
        match (suspected, watch.spared) {
            (true, false) if watch.cause == Outcome::TimedOut && together => {
                watch.spared = true;
                self.take_back(target, None);
            }
            // Some have just answered and others have not been asked yet: the next failure decides.
            (false, true) => {
                watch.spared = false;
                watch.verdict.spare();
            }
            _ => {}
        }
    }
}

/// How long ago something may have happened to count as simultaneous: failures take an interval, and some fifths and
/// timeouts, to become a verdict.
fn recently(target: &Target) -> Duration {
    (target.policy.interval + target.policy.timeout) * 2
}

fn out(target: &Target, watch: &Watch) -> Out {
    Out { service: target.service, since: now(), why: watch.why.clone(), passive: watch.passive }
}
