//! Builds the parts and connects them.

use super::error::RunError;
use super::report::Reporter;
use crate::access::Access;
use crate::acme::Keeper;
use crate::active::CurrentConfig;
use crate::drain::{Drainer, Drains};
use crate::guessing::Guessing;
use crate::https::{self, Web};
use crate::id::Ids;
use crate::listen::{Acceptor, Admission};
use crate::load::{self, Read};
use crate::login;
use crate::memory::MemoryPressure;
use crate::metrics::Metrics;
use crate::moves::Mover;
use crate::parts::Parts;
use crate::peers::Peers;
use crate::refusals::Refusals;
use crate::remembered::Remembered;
use crate::route::Router;
use crate::session::Table;
use crate::shutdown::Shutdown;
use crate::succession::Formers;
use crate::tcp;
use crate::tls::Lasting;
use crate::workers::Workers;
use std::path::Path;
use std::sync::Arc;
use tokio::runtime::Handle;
use usher_backends::Observer;
use usher_backends::bans::Bans;
use usher_backends::connect::Deadlines;
use usher_backends::connect::identity::Identity;
use usher_backends::health::Health;
use usher_backends::roster::{AdmissionCounter, Fleet, now};
use usher_backends::sources::Sources;
use usher_backends::state::State;
use usher_config::Snapshot;

/// Builds everything from `snapshot` and what was `read` from the files that it names.
pub(crate) fn build(
    snapshot: Snapshot,
    read: Read,
    workers: Workers,
    lasting: &Lasting,
    // By a process that this one succeeds.
    stopped: Option<Vec<String>>,
) -> Result<Parts, RunError> {
    let state_dir = snapshot.server.state_dir.clone();
    let aside = apart("health")?;
    let sources = sources(&snapshot, &aside)?;
    let metrics = Arc::new(Metrics::new()?);
    let observer: Arc<dyn Observer> = Arc::new(Reporter(metrics.clone()));
    let identity = Identity::load_or_make(&state_dir, &snapshot.server.name)?;
    let (fleet, bans) = fleet(&snapshot, identity, &observer, stopped)?;
    let health = health(&snapshot, &fleet, &observer, aside)?;
    let config = Arc::new(CurrentConfig::new(load::activate(snapshot, read, lasting)?));
    let (sessions, ids) = (Arc::new(Table::new()), Arc::new(Ids::default()));
    let (shutdown, memory) = (Arc::new(Shutdown::default()), Arc::new(MemoryPressure::default()));
    let admission = Admission::default();
    let guessing = guessing(&state_dir, &config, &metrics, bans)?;
    let router = router(&state_dir, &config, &sources, &fleet, &observer, &metrics);
    let imap = Arc::new(login::Server {
        guessing: guessing.clone(),
        router: router.clone(),
        fleet: fleet.clone(),
        health: health.clone(),
        observer: observer.clone(),
        metrics: metrics.clone(),
        sessions: sessions.clone(),
        ids: ids.clone(),
        shutdown: shutdown.clone(),
        held_logins: Arc::<AdmissionCounter>::default(),
        whys: login::Whys::open(state_dir.join("token.whys")),
        refusals: Refusals::open(state_dir.join("refusals.imap"))?,
        conversations: login::Conversations::open(&state_dir)?,
        token_refusals: Refusals::open(state_dir.join("refusals.tokens"))?,
    });
    let https = Arc::new(https::Server {
        config: config.clone(),
        guessing,
        router,
        fleet: fleet.clone(),
        health: health.clone(),
        observer: observer.clone(),
        metrics: metrics.clone(),
        sessions: sessions.clone(),
        ids,
        memory: memory.clone(),
        shutdown: shutdown.clone(),
        refusals: Refusals::open(state_dir.join("refusals.https"))?,
        web: Web::open(&state_dir, &workers),
        workers: workers.clone(),
    });
    let tcp = Arc::new(tcp(&imap));
    let formers = Arc::new(Formers::new(&state_dir));
    let mover = Mover::new(&imap, config.clone(), sources.ledger(), formers.clone());
    let drainer = Arc::new(Drainer {
        config: config.clone(),
        fleet: fleet.clone(),
        sessions,
        admission: admission.clone(),
        drains: Arc::<Drains>::default(),
    });
    let keeper = Keeper::new(&config, &lasting.acquired, &metrics, &shutdown);
    let acceptor = Acceptor { config, metrics, memory, workers, shutdown, admission, imap, https, tcp };
    Ok(Parts {
        enforcer: Arc::default(),
        mover: Arc::new(mover),
        acceptor: Arc::new(acceptor),
        drainer,
        sources,
        fleet,
        health,
        formers,
        keeper,
    })
}

/// Who is asked where an archive is.
fn sources(snapshot: &Snapshot, aside: &Handle) -> Result<Arc<Sources>, RunError> {
    let (remember, state_dir) = (snapshot.limits.remembered_placements, &snapshot.server.state_dir);
    // Only those that are elsewhere are asked on it: without one, its thread and descriptors are not needed.
    let is_elsewhere = snapshot.directory.sources.iter().any(|source| source.access().is_some());
    let own = is_elsewhere.then(|| apart("directory")).transpose()?;
    let sources = Sources::new(&snapshot.directory, remember, state_dir, own.as_ref().unwrap_or(aside))?;
    // Start following before the first look-up, so that nothing remembered has to be forgotten at once.
    let _ = sources.follow_changes();
    Ok(Arc::new(sources))
}

/// The hosts and arrays, and who is banned.
fn fleet(
    snapshot: &Snapshot,
    identity: Identity,
    observer: &Arc<dyn Observer>,
    stopped: Option<Vec<String>>,
) -> Result<(Arc<Fleet>, Bans), RunError> {
    let store = State::open(&snapshot.server.state_dir)?;
    let bans = store.bans();
    let (hosts, arrays) = (&snapshot.hosts, &snapshot.arrays);
    let fleet = Fleet::open(Box::new(store), hosts, arrays, identity, observer.clone(), stopped)?;
    Ok((Arc::new(fleet), bans))
}

/// What watches them.
fn health(
    snapshot: &Snapshot,
    fleet: &Arc<Fleet>,
    observer: &Arc<dyn Observer>,
    aside: Handle,
) -> std::io::Result<Arc<Health>> {
    let deadlines = Deadlines::from(&snapshot.limits);
    let secrets_dir = snapshot.admin.secrets_dir.clone();
    let health = Health::new(fleet.clone(), observer.clone(), deadlines, secrets_dir, aside);
    health.reconcile(deadlines);
    Ok(health)
}

/// What plain TCP needs of what serves logins.
fn tcp(imap: &login::Server) -> tcp::Server {
    tcp::Server {
        guessing: imap.guessing.clone(),
        router: imap.router.clone(),
        fleet: imap.fleet.clone(),
        health: imap.health.clone(),
        observer: imap.observer.clone(),
        metrics: imap.metrics.clone(),
        sessions: imap.sessions.clone(),
        ids: imap.ids.clone(),
        shutdown: imap.shutdown.clone(),
    }
}

/// What remembers failed logins.
fn guessing(
    state_dir: &Path,
    config: &Arc<CurrentConfig>,
    metrics: &Arc<Metrics>,
    bans: Bans,
) -> Result<Arc<Guessing>, RunError> {
    let in_force = bans.all(now())?;
    Ok(Guessing::open(state_dir, config.clone(), metrics.clone(), bans, &in_force)?)
}

/// What decides who goes where.
fn router(
    state_dir: &Path,
    config: &Arc<CurrentConfig>,
    sources: &Arc<Sources>,
    fleet: &Arc<Fleet>,
    observer: &Arc<dyn Observer>,
    metrics: &Arc<Metrics>,
) -> Arc<Router> {
    let access = Access::new(config.clone(), metrics.clone());
    let remembered = Arc::new(Remembered::open(state_dir, config.clone()));
    let peers = Peers::new(config.clone(), sources.ledger(), fleet.clone(), observer.clone());
    Arc::new(Router::new(
        sources.clone(),
        fleet.clone(),
        access,
        remembered,
        Arc::new(peers),
        metrics.clone(),
    ))
}

/// A runtime on a thread of its own called `name`, so that what is done there delays no session.
fn apart(name: &str) -> std::io::Result<Handle> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let handle = runtime.handle().clone();
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(move || runtime.block_on(std::future::pending::<()>()))?;
    Ok(handle)
}
