//! When to look, and what follows from what was seen. One task a service; what fails in real sessions counts
//! as well.

use super::board::{Board, Report};
use super::probe::{Subject, ask_agent};
use super::suspicion::Suspicion;
use super::verdict::{Outcome, Turn, Verdict};
use crate::Observer;
use crate::connect::{ConnectFault, Deadlines, Learnt, Stage};
use crate::roster::{AgentWord, BackendId, Fleet, Out, Roster, Service, now};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep, sleep_until};
use usher_config::health::{HealthPolicy, HttpProbe, ImapProbe, TcpProbe};
use xxhash_rust::xxh3::xxh3_64_with_seed;

type Key = (BackendId, Service);

/// Watches over all backends of a fleet.
pub struct Health {
    fleet: Arc<Fleet>,
    observer: Arc<dyn Observer>,
    runtime: Handle,
    deadlines: Mutex<Deadlines>,
    targets: Mutex<HashMap<Key, Arc<Target>>>,
    agents: Mutex<HashMap<BackendId, Agent>>,
    doubt: Mutex<Doubt>,
    board: Board,
    /// One reconciliation at a time, of the roster as it is by then.
    reconciling: Mutex<()>,
    /// One ejection from an array at a time, so that no two of them are the last.
    ejecting: Mutex<()>,
}

/// One service that is watched.
struct Target {
    id: BackendId,
    service: Service,
    policy: HealthPolicy,
    /// Where it is; another place is another service.
    place: String,
    watch: Mutex<Watch>,
    /// Told when a real session fails.
    wake: Notify,
    task: Mutex<Option<AbortHandle>>,
}

/// What is known of a service.
struct Watch {
    verdict: Verdict,
    /// When the verdict last turned.
    turned: Instant,
    /// What turned it.
    cause: Outcome,
    why: String,
    passive: bool,
    /// Down, but left in service, because the checker is in doubt.
    spared: bool,
    /// It is watched no more; what is still being found out counts for nothing.
    retired: bool,
    /// It failed beyond the TCP connection, so a probe that only connects would not see whether it is back.
    deeper: bool,
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
struct Doubt {
    suspicion: Suspicion<Key>,
    holds: bool,
}

impl Health {
    /// Watches over the backends of `fleet` on `runtime`, from the first [`Self::reconcile`] on.
    pub fn new(
        fleet: Arc<Fleet>,
        observer: Arc<dyn Observer>,
        deadlines: Deadlines,
        runtime: Handle,
    ) -> Arc<Self> {
        Arc::new(Self {
            fleet,
            observer,
            runtime,
            deadlines: Mutex::new(deadlines),
            targets: Mutex::default(),
            agents: Mutex::default(),
            doubt: Mutex::default(),
            board: Board::default(),
            reconciling: Mutex::default(),
            ejecting: Mutex::default(),
        })
    }

    /// What is known of a service; `None` before the first probe.
    pub fn report(&self, id: &BackendId, service: Service) -> Option<Report> {
        self.board.get(id, service)
    }

    /// Whether most backends time out at once, so that the last good state is kept.
    pub fn suspects_itself(&self) -> bool {
        lock(&self.doubt).holds
    }

    /// Watches what the roster has now, with `deadlines`; what has not changed is watched on.
    pub fn reconcile(self: &Arc<Self>, deadlines: Deadlines) {
        let _alone = lock(&self.reconciling);
        *lock(&self.deadlines) = deadlines;
        let roster = self.fleet.roster();
        let mut wanted = HashMap::new();
        let mut agents = HashMap::new();
        for Watched { id, service, policy, place, agent } in services(&roster) {
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
    }

    fn reconcile_targets(self: &Arc<Self>, wanted: HashMap<Key, (HealthPolicy, String)>) {
        let mut targets = lock(&self.targets);
        targets.retain(|key, target| {
            let same = wanted
                .get(key)
                .is_some_and(|(policy, place)| *policy == target.policy && *place == target.place);
            if !same {
                // Elsewhere or by other rules: fit until proven otherwise.
                lock(&target.watch).retired = true;
                self.fleet.take_back(&key.0, key.1, None);
                self.board.forget(&key.0, key.1);
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
            // Another agent's word is not this one's; how often it is asked changes nothing of it.
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
        // Not all at once.
        let mut due = Instant::now() + target.policy.interval.mul_f64(chance(&target.id, round) / 5.0);
        loop {
            tokio::select! {
                () = sleep_until(due) => {}
                // Sooner now, and never later: failing sessions must not keep a probe from being made.
                () = target.wake.notified() => {
                    due = due.min(Instant::now() + self.next_wait(&target, round));
                    continue;
                }
            }
            round += 1;
            self.look(&target).await;
            due = Instant::now() + self.next_wait(&target, round);
        }
    }

    fn next_wait(&self, target: &Target, round: u64) -> Duration {
        let next = lock(&target.watch).verdict.next(target.policy.interval);
        // A tenth more or less, so that probes of many hosts do not fall into step.
        next.mul_f64(0.9 + chance(&target.id, round) / 5.0)
    }

    async fn look(&self, target: &Target) {
        let subject = Subject::find(&self.fleet.roster(), &target.id);
        let Some(subject) = subject else { return };
        let deeper = lock(&target.watch).deeper;
        let deadlines = *lock(&self.deadlines);
        let begun = Instant::now();
        let probing = subject.probe(target.service, &target.policy, deeper, &deadlines);
        let result = Box::pin(probing).await;
        let (outcome, fault, learnt) = match result {
            Ok(learnt) => (Outcome::Good, None, learnt),
            Err(fault) => (fault.outcome(), Some(fault.to_string()), Learnt::default()),
        };
        let report = Report { at: now(), took: begun.elapsed(), fault, learnt };
        if lock(&target.watch).retired {
            return;
        }
        let report = self.board.put(&target.id, target.service, report);
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
            // Under the lock, so that an agent that is asked no more has said its last word.
            let agents = lock(&self.agents);
            if word != before && agents.get(&id).is_some_and(|agent| agent.ask == ask) {
                self.observer.agent_said(&id, word);
                self.fleet.note_agent(&id, word);
            }
        }
    }

    /// A real session reached the service, or failed to.
    pub fn note_session(&self, id: &BackendId, service: Service, result: Result<(), &ConnectFault>) {
        let Some(target) = lock(&self.targets).get(&(id.clone(), service)).cloned() else { return };
        match result {
            // A login is what is probed; a session that only came to its greeting says nothing of it.
            Ok(()) if matches!(target.policy.imap, ImapProbe::Login { .. }) && service == Service::Imap => {}
            Ok(()) => {
                let watch = lock(&target.watch);
                let settled = watch.verdict.is_up() != watch.verdict.is_in_doubt();
                drop(watch);
                if !settled {
                    self.note(&target, Outcome::Good, "", true);
                }
            }
            Err(fault) => {
                // What one user's login comes to says nothing of the host.
                if fault.stage == Stage::Login {
                    return;
                }
                if !matches!(fault.stage, Stage::Resolve | Stage::Dial) {
                    lock(&target.watch).deeper = true;
                }
                let outcome = match (fault.stage, fault.outcome()) {
                    // What a host says to one client's address may be meant for that client.
                    (Stage::Greeting, Outcome::Refused) => Outcome::Unknown,
                    (_, outcome) => outcome,
                };
                self.note(&target, outcome, &format!("a session failed: {fault}"), true);
                target.wake.notify_one();
            }
        }
    }

    fn note(&self, target: &Target, outcome: Outcome, why: &str, passive: bool) {
        if outcome == Outcome::Unknown {
            // Doubt all the same, so that the next probe comes soon; it is for that one to say.
            let mut watch = lock(&target.watch);
            if passive && watch.verdict.is_up() && watch.verdict.note(false) == Some(Turn::Down) {
                watch.verdict.spare();
            }
            return;
        }
        self.weigh_doubt(target, outcome);
        let alone = lock(&self.ejecting);
        let mut watch = lock(&target.watch);
        if watch.retired {
            return;
        }
        // As it is by now: whoever turns the doubt over looks at this watch after or before.
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
                // A probe as deep as the failure of a session has seen nothing of it.
                watch.deeper &= passive || outcome != Outcome::Good;
            }
            // A refusal is the host's own word, whatever the checker is suspected of.
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

    /// Failures of sessions alone take out at most half of an array: they may be the clients' fault.
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

    /// Takes into account what asking a service has come to, and turns the doubt over where that is due.
    fn weigh_doubt(&self, target: &Target, outcome: Outcome) {
        let long_out = {
            let watch = lock(&target.watch);
            !watch.verdict.is_up() && !watch.spared && watch.turned.elapsed() > recently(target)
        };
        let turned = {
            let mut doubt = lock(&self.doubt);
            let key = (target.id.clone(), target.service);
            if long_out {
                // It was out before the others; it says nothing of what happens to them now.
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

    /// The doubt has come or gone: what timed out with the others goes on by its last good state, or has one
    /// failure left.
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
            // Some have just answered and some have not been asked yet: the next failure decides.
            (false, true) => {
                watch.spared = false;
                watch.verdict.spare();
            }
            _ => {}
        }
    }
}

/// How long ago something has happened together with what happens now: failures take an interval, and some
/// fifths and timeouts, to become a verdict.
fn recently(target: &Target) -> Duration {
    (target.policy.interval + target.policy.timeout) * 2
}

fn out(target: &Target, watch: &Watch) -> Out {
    Out { service: target.service, since: now(), why: watch.why.clone(), passive: watch.passive }
}

/// A service as the roster has it.
struct Watched<'r> {
    id: &'r BackendId,
    service: Service,
    policy: &'r HealthPolicy,
    place: String,
    agent: Option<&'r String>,
}

/// Every service of the roster.
fn services(roster: &Roster) -> Vec<Watched<'_>> {
    let mut services = Vec::new();
    for host in roster.hosts() {
        let (id, config, policy) = (&host.id, &host.config, &host.config.health);
        let (pins, agent) = (format!("{:?}", config.pins), policy.agent.as_ref());
        let place = format!("{:?}{pins}", config.imap);
        services.push(Watched { id, service: Service::Imap, policy, place, agent });
        if let Some(http) = &config.http {
            let place = format!("{http:?}{pins}");
            services.push(Watched { id, service: Service::Http, policy, place, agent });
        }
    }
    for array in roster.arrays() {
        let policy = &array.config.health;
        for member in &array.members {
            let (id, config) = (&member.id, &member.config);
            let agent = config.agent.as_ref();
            if let Some(tcp) = &config.tcp {
                let place = format!("{tcp:?}{:?}", array.config.probe_port);
                services.push(Watched { id, service: Service::Tcp, policy, place, agent });
            }
            if let Some(http) = &config.http {
                let place = format!("{http:?}{:?}", config.pins);
                services.push(Watched { id, service: Service::Http, policy, place, agent });
            }
        }
    }
    services
}

fn is_probed(policy: &HealthPolicy, service: Service) -> bool {
    match service {
        Service::Imap => policy.imap != ImapProbe::None,
        Service::Http => policy.http != HttpProbe::None,
        Service::Tcp => policy.tcp != TcpProbe::None,
    }
}

/// A number from 0 to 1 that differs from backend to backend and from round to round.
fn chance(id: &BackendId, round: u64) -> f64 {
    xxh3_64_with_seed(id.name.as_bytes(), round) as f64 / u64::MAX as f64
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
