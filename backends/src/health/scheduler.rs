//! When to probe. One task per service.

use super::probe::{ProbeFault, Subject, ask_agent};
use super::reports::Reports;
use super::shared::Shared;
use super::suspicion::Suspicion;
use super::targets::{ProbeTarget, is_probed, services};
use crate::Observer;
use crate::connect::{Deadlines, Learnt};
use crate::observer::Report;
use crate::roster::{AgentWord, BackendId, Fleet, Service, now};
use arc_swap::{ArcSwap, Guard};
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep, sleep_until};
use usher_config::health::HealthPolicy;
use usher_policy::verdict::{Outcome, Verdict};
use xxhash_rust::xxh3::xxh3_64_with_seed;

type Key = (BackendId, Service);

/// First wait between probes of a service that is likely to be back soon.
const SOON: Duration = Duration::from_millis(100);

/// Watches over all backends of a fleet.
pub struct Health {
    pub(super) fleet: Arc<Fleet>,
    pub(super) observer: Arc<dyn Observer>,
    runtime: Handle,
    /// The moment that beats are counted from.
    epoch: Instant,
    deadlines: Mutex<Deadlines>,
    /// Directory of the passwords of hosts that were added at run time.
    secrets_dir: Option<PathBuf>,
    pub(super) targets: Mutex<HashMap<Key, Arc<Target>>>,
    agents: Mutex<HashMap<BackendId, Agent>>,
    pub(super) doubt: Mutex<Doubt>,
    reports: Reports,
    /// What all hosts have, as far as probes have seen them.
    shared: ArcSwap<Shared>,
    /// One reconciliation at a time, with the roster as it is by then.
    reconciling: Mutex<()>,
    /// One ejection from an array at a time, so that two of them cannot both be the last one allowed.
    pub(super) ejecting: Mutex<()>,
}

/// One service that is watched.
pub(super) struct Target {
    pub(super) id: BackendId,
    pub(super) service: Service,
    pub(super) policy: HealthPolicy,
    /// Where it is; a different place is a different service.
    place: String,
    pub(super) watch: Mutex<Watch>,
    /// Told when a real session fails.
    pub(super) wake: Notify,
    task: Mutex<Option<AbortHandle>>,
}

/// What is known of a service.
pub(super) struct Watch {
    pub(super) verdict: Verdict,
    /// When the verdict last turned.
    pub(super) turned: Instant,
    /// What turned it.
    pub(super) cause: Outcome,
    pub(super) why: String,
    pub(super) passive: bool,
    /// Down, but left in service, because the checker is in doubt.
    pub(super) spared: bool,
    /// It is no longer watched; results that are still to come are ignored.
    pub(super) retired: bool,
    /// Consecutive refused connections: nobody is listening, as while a server restarts.
    pub(super) refused: u32,
    /// It failed beyond the TCP connection, so a probe that only connects would not notice that it is back.
    pub(super) deeper: bool,
}

struct Agent {
    ask: Ask,
    task: AbortHandle,
}

/// How an agent is asked.
#[derive(Clone, PartialEq, Eq)]
struct Ask {
    address: String,
    interval: Duration,
    timeout: Duration,
}

#[derive(Default)]
pub(super) struct Doubt {
    pub(super) suspicion: Suspicion<Key>,
    pub(super) holds: bool,
}

impl Health {
    /// Watches the backends of `fleet` on `runtime`, beginning with the first [`Self::reconcile`]. The passwords of
    /// hosts added at run time are read from `secrets_dir` only.
    pub fn new(
        fleet: Arc<Fleet>,
        observer: Arc<dyn Observer>,
        deadlines: Deadlines,
        secrets_dir: Option<PathBuf>,
        runtime: Handle,
    ) -> Arc<Self> {
        Arc::new(Self {
            fleet,
            observer,
            runtime,
            epoch: Instant::now(),
            deadlines: Mutex::new(deadlines),
            secrets_dir,
            targets: Mutex::default(),
            agents: Mutex::default(),
            doubt: Mutex::default(),
            reports: Reports::default(),
            shared: ArcSwap::default(),
            reconciling: Mutex::default(),
            ejecting: Mutex::default(),
        })
    }

    /// The latest report on a service; `None` before the first probe.
    pub fn report(&self, id: &BackendId, service: Service) -> Option<Report> {
        self.reports.get(id, service)
    }

    /// What all hosts have. Empty until a probe has seen every host.
    pub fn shared(&self) -> Guard<Arc<Shared>> {
        self.shared.load()
    }

    /// Determines again what all hosts have.
    fn compare_capabilities(&self) {
        let roster = self.fleet.roster();
        let shared = Shared::of(roster.hosts().map(|host| {
            let report = self.reports.get(&host.id, Service::Imap);
            (host.clone(), report.and_then(|report| report.learnt.capabilities).unwrap_or_default())
        }));
        if **self.shared.load() != shared {
            self.shared.store(Arc::new(shared));
        }
    }

    /// Whether most backends time out at once, so that the last good state is kept.
    pub fn suspects_itself(&self) -> bool {
        lock(&self.doubt).holds
    }

    /// Watches what is in the roster now, with `deadlines`; services that have not changed keep being watched.
    pub fn reconcile(self: &Arc<Self>, deadlines: Deadlines) {
        let _alone = lock(&self.reconciling);
        *lock(&self.deadlines) = deadlines;
        let roster = self.fleet.roster();
        let mut wanted = HashMap::new();
        let mut agents = HashMap::new();
        for ProbeTarget { id, service, policy, place, agent } in services(&roster) {
            if let Some(address) = agent {
                let (address, interval, timeout) = (address.clone(), policy.interval, policy.timeout);
                agents.insert(id.clone(), Ask { address, interval, timeout });
            }
            if is_probed(policy, service) {
                wanted.insert((id.clone(), service), (policy.clone(), place));
            }
        }
        drop(roster);
        self.reconcile_targets(wanted);
        self.reconcile_agents(agents);
        self.compare_capabilities();
    }

    fn reconcile_targets(self: &Arc<Self>, wanted: HashMap<Key, (HealthPolicy, String)>) {
        let mut targets = lock(&self.targets);
        targets.retain(|key, target| {
            let same = wanted
                .get(key)
                .is_some_and(|(policy, place)| *policy == target.policy && *place == target.place);
            if !same {
                // Another place or other rules: considered healthy until proven otherwise.
                lock(&target.watch).retired = true;
                self.fleet.take_back(&key.0, key.1, None);
                self.reports.forget(&key.0, key.1);
                lock(&self.doubt).suspicion.forget(key);
                if let Some(task) = lock(&target.task).take() {
                    task.abort();
                }
            }
            same
        });
        for ((id, service), (policy, place)) in wanted {
            targets.entry((id.clone(), service)).or_insert_with(|| {
                let verdict = Verdict::new(policy.rise, policy.fall);
                let watch = Watch {
                    verdict,
                    turned: Instant::now(),
                    cause: Outcome::Good,
                    why: String::new(),
                    passive: false,
                    spared: false,
                    retired: false,
                    refused: 0,
                    deeper: false,
                };
                let target = Arc::new(Target {
                    id,
                    service,
                    policy,
                    place,
                    watch: Mutex::new(watch),
                    wake: Notify::new(),
                    task: Mutex::new(None),
                });
                let task = self.runtime.spawn(self.clone().look_after(target.clone()));
                *lock(&target.task) = Some(task.abort_handle());
                target
            });
        }
    }

    fn reconcile_agents(self: &Arc<Self>, wanted: HashMap<BackendId, Ask>) {
        let mut agents = lock(&self.agents);
        agents.retain(|id, agent| {
            let same = wanted.get(id).is_some_and(|ask| *ask == agent.ask);
            if !same {
                agent.task.abort();
            }
            // What another agent said does not apply to this one; how often it is asked makes no difference.
            if wanted.get(id).is_none_or(|ask| ask.address != agent.ask.address) {
                self.fleet.note_agent(id, AgentWord::default());
            }
            same
        });
        for (id, ask) in wanted {
            agents.entry(id.clone()).or_insert_with(|| {
                let task = self.runtime.spawn(self.clone().listen_to_agent(id, ask.clone()));
                Agent { ask, task: task.abort_handle() }
            });
        }
    }

    /// Probes one service for as long as it is watched.
    async fn look_after(self: Arc<Self>, target: Arc<Target>) {
        let mut round = 0_u64;
        // Spreads the first probes.
        let mut due = Instant::now() + target.policy.interval.mul_f64(chance(&target.id, round) / 5.0);
        loop {
            tokio::select! {
                () = sleep_until(due) => {}
                // Sooner but never later: failing sessions must not postpone a probe.
                () = target.wake.notified() => {
                    due = due.min(Instant::now() + self.next_wait(&target, round));
                    continue;
                }
            }
            round += 1;
            self.look(&target).await;
            due = self.on_beat(Instant::now() + self.next_wait(&target, round), target.policy.interval);
        }
    }

    /// Several probes on one beat, a hundredth of the interval, cost less than each at its own time.
    fn on_beat(&self, due: Instant, interval: Duration) -> Instant {
        let beat = (interval / 100).max(Duration::from_millis(1)).as_nanos();
        let over = due.duration_since(self.epoch).as_nanos() % beat;
        due + Duration::from_nanos(u64::try_from((beat - over) % beat).unwrap_or(0))
    }

    fn next_wait(&self, target: &Target, round: u64) -> Duration {
        let watch = lock(&target.watch);
        let next = watch.verdict.next(target.policy.interval);
        if let Some(soon) = watch.soon() {
            return next.min(soon);
        }
        drop(watch);
        // Plus or minus a tenth, so that probes of many hosts do not fall into step.
        next.mul_f64(0.9 + chance(&target.id, round) / 5.0)
    }

    async fn look(&self, target: &Target) {
        let subject = Subject::find(&self.fleet.roster(), &target.id);
        let Some(subject) = subject else { return };
        let deeper = lock(&target.watch).deeper;
        let deadlines = *lock(&self.deadlines);
        let begun = Instant::now();
        let probing =
            subject.probe(target.service, &target.policy, deeper, &deadlines, self.secrets_dir.as_deref());
        let result = Box::pin(probing).await;
        let is_refused = result.as_ref().is_err_and(ProbeFault::is_refused_connection);
        let (outcome, fault, learnt) = match result {
            Ok(learnt) => (Outcome::Good, None, learnt),
            Err(fault) => (fault.outcome(), Some(fault.to_string()), Learnt::default()),
        };
        {
            let mut watch = lock(&target.watch);
            watch.refused = if is_refused { watch.refused.saturating_add(1) } else { 0 };
        }
        let report = Report { at: now(), took: begun.elapsed(), fault, learnt };
        if lock(&target.watch).retired {
            return;
        }
        let learnt_some = report.learnt.capabilities.is_some();
        let (report, is_news) = self.reports.put(&target.id, target.service, report);
        if learnt_some && is_news {
            self.compare_capabilities();
        }
        self.observer.probed(&target.id, target.service, &report);
        self.note(target, outcome, report.fault.as_deref().unwrap_or_default(), false);
    }

    async fn listen_to_agent(self: Arc<Self>, id: BackendId, ask: Ask) {
        let mut round = 0;
        loop {
            sleep(ask.interval.mul_f64(0.9 + chance(&id, round) / 5.0)).await;
            round += 1;
            let roster = self.fleet.roster();
            let before = roster.standing(&id).map(|standing| standing.holds.agent);
            drop(roster);
            let Some(before) = before else { return };
            // One that cannot be asked leaves things as they are.
            let Ok(word) = ask_agent(&ask.address, before, ask.timeout).await else { continue };
            // Under the lock, so that an agent that is no longer asked has no say any more.
            let agents = lock(&self.agents);
            if word != before && agents.get(&id).is_some_and(|agent| agent.ask == ask) {
                self.observer.agent_said(&id, word);
                self.fleet.note_agent(&id, word);
            }
        }
    }
}

impl Watch {
    /// The wait for the next probe if it is to come soon: none after a refused connection, then 100, 200, 400 ms and so
    /// on, since a restarting server is seldom gone for longer; and also if the service is out but has just answered.
    fn soon(&self) -> Option<Duration> {
        if !self.verdict.is_up() && self.verdict.is_in_doubt() {
            return Some(SOON);
        }
        let doublings = self.refused.checked_sub(2);
        match (self.refused, doublings) {
            (0, _) => None,
            (_, None) => Some(Duration::ZERO),
            (_, Some(doublings)) => Some(SOON * 2_u32.saturating_pow(doublings.min(16))),
        }
    }
}

/// A number from 0 to 1 that differs from backend to backend and from round to round.
fn chance(id: &BackendId, round: u64) -> f64 {
    xxh3_64_with_seed(id.name.as_bytes(), round) as f64 / u64::MAX as f64
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
