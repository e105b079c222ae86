//! What the console follows: how usher is and what has changed at hosts and members, every few seconds.

use super::super::backends::{all, everywhere};
use super::super::error::Refusal;
use super::super::model::{Backend, FormerProcess, News, Pulse, Row};
use super::super::{Context, State};
use super::history::History;
use axum::http::{HeaderName, StatusCode};
use axum::response::IntoResponse;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::stream::unfold;
use std::collections::{HashMap, HashSet};
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{Instant, MissedTickBehavior, interval};
use xxhash_rust::xxh3::xxh3_64;

/// How often it is looked at.
const TICK: Duration = Duration::from_secs(1);
/// Longest wait for processes that have been succeeded: they are missing in a picture then.
const PATIENCE: Duration = Duration::from_secs(1);
/// Shortest time over which a rate says something.
const SPAN: f64 = 0.5;
/// Most who follow at a time: each has a connection of its own.
const FOLLOWERS: usize = 64;

/// How everything was at a moment.
struct Picture {
    pulse: Pulse,
    rows: Vec<Shown>,
}

/// A row, and a digest of what it says.
struct Shown {
    key: String,
    digest: u64,
    row: Row,
}

/// The latest picture, while anybody follows.
pub(in super::super) struct Live {
    latest: watch::Sender<Option<Arc<Picture>>>,
    /// Somebody has begun to follow, and should not wait for the next tick.
    wanted: Notify,
    places: Arc<Semaphore>,
    history: Mutex<History>,
}

impl Default for Live {
    fn default() -> Self {
        let places = Arc::new(Semaphore::new(FOLLOWERS));
        Self { latest: watch::Sender::new(None), wanted: Notify::new(), places, history: Mutex::default() }
    }
}

/// Looks at everything regularly, for as long as this process has the sockets. Pictures are made only while somebody
/// follows.
pub(in super::super) async fn watch_over(context: Arc<Context>) {
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut counted = HashMap::new();
    let mut before = Instant::now();
    // One that stops without a successor shows how far it has come.
    while !context.shutdown.is_retired() || context.shutdown.has_begun() {
        let live = &context.live;
        tokio::select! {
            _ = ticks.tick() => {}
            () = live.wanted.notified() => {}
        }
        let is_due = live.history.lock().unwrap_or_else(PoisonError::into_inner).is_due(Instant::now());
        if is_due {
            let sessions = sessions(&context).await;
            live.history.lock().unwrap_or_else(PoisonError::into_inner).note(Instant::now(), sessions);
        }
        if live.latest.receiver_count() > 0 {
            let passed = before.elapsed().as_secs_f64();
            // Somebody has come right after a tick: the picture is still good.
            if passed < SPAN && live.latest.borrow().is_some() {
                live.latest.send_modify(|_| ());
                continue;
            }
            before = Instant::now();
            let picture = picture(&context, &mut counted, passed).await;
            live.latest.send_replace(Some(Arc::new(picture)));
        } else {
            live.latest.send_replace(None);
            counted.clear();
            before = Instant::now();
        }
    }
}

/// All backends and former processes, without those that do not answer in time.
async fn seen(context: &Context) -> (Vec<Backend>, Vec<FormerProcess>) {
    let everywhere = tokio::time::timeout(PATIENCE, everywhere(context)).await;
    everywhere.unwrap_or_else(|_| (all(context, &context.fleet.roster()), Vec::new()))
}

/// How many sessions each host and member has.
async fn sessions(context: &Context) -> Vec<(String, u32)> {
    if context.formers.count() > 0 {
        let (backends, _) = seen(context).await;
        let count = |one: &Backend| (key(one.array.as_deref(), &one.name), one.sessions);
        return backends.iter().map(count).collect();
    }
    let roster = context.fleet.roster();
    let hosts = roster.hosts().map(|host| (&host.id, &host.standing));
    let members =
        roster.arrays().flat_map(|array| &array.members).map(|member| (&member.id, &member.standing));
    hosts
        .chain(members)
        .map(|(id, standing)| (key(id.array.as_deref(), &id.name), standing.leases()))
        .collect()
}

async fn picture(context: &Context, counted: &mut HashMap<String, u64>, passed: f64) -> Picture {
    let (backends, formers) = seen(context).await;
    let mut all = 0.0;
    let mut rates = HashMap::new();
    for backend in &backends {
        // A machine that is a host and a member is counted once.
        if !rates.contains_key(&backend.name) {
            let uses = context.metrics.uses(&backend.name);
            let former = counted.insert(backend.name.clone(), uses).unwrap_or(uses);
            let rate = uses.saturating_sub(former) as f64 / passed.max(0.001);
            rates.insert(backend.name.clone(), (rate * 10.0).round() / 10.0);
            all += rate;
        }
    }
    let rows = backends.into_iter().map(|backend| {
        let rate = rates.get(&backend.name).copied().unwrap_or_default();
        let row = Row { backend: without_what_always_changes(backend), rate, history: None };
        let digest = xxh3_64(&serde_json::to_vec(&row).unwrap_or_default());
        Shown { key: key(row.backend.array.as_deref(), &row.backend.name), digest, row }
    });
    let elsewhere = |count: fn(&FormerProcess) -> usize| formers.iter().map(count).sum::<usize>();
    Picture {
        rows: rows.collect(),
        pulse: Pulse {
            uptime_seconds: context.begun.elapsed().as_secs(),
            stopping: context.shutdown.has_begun(),
            connections: context.admission.connections.count() as usize
                + elsewhere(|former| former.connections as usize),
            sessions: context.sessions.len() + elsewhere(|former| former.sessions),
            held_logins: context.held_logins.count(),
            checker_suspected: context.health.suspects_itself(),
            moving: context.fleet.roster().moving_keys().count(),
            rate: (all * 10.0).round() / 10.0,
        },
    }
}

/// Every check has another time, and who wants to know it looks at the host.
fn without_what_always_changes(mut backend: Backend) -> Backend {
    for service in &mut backend.services {
        (service.checked_at, service.check_seconds, service.capabilities) = (None, None, None);
    }
    backend.fingerprints.clear();
    if let Some(drain) = backend.drain.as_mut().filter(|drain| drain.left == 0) {
        drain.passed_seconds = 0.0;
    }
    backend
}

/// The name of a row: hosts have no array.
fn key(array: Option<&str>, name: &str) -> String {
    format!("{}/{name}", array.unwrap_or_default())
}

async fn left_to_a_successor(context: &Context) {
    context.shutdown.retired().await;
    if context.shutdown.has_begun() {
        std::future::pending().await
    }
}

/// Somebody who follows, and what they have been told.
struct Follower {
    context: Arc<Context>,
    latest: watch::Receiver<Option<Arc<Picture>>>,
    told: HashMap<String, u64>,
    _place: OwnedSemaphorePermit,
}

/// Events for the console: everything first, then what changes.
#[utoipa::path(get, path = "/v1/events", operation_id = "followEvents", responses((status = 200, description = "A stream of events, each with JSON.", body = News, content_type = "text/event-stream"), (status = 503, description = "Too many follow.")))]
pub(in super::super) async fn events(context: State) -> Result<impl IntoResponse, Refusal> {
    let place = context.live.places.clone().try_acquire_owned();
    let place =
        place.map_err(|_| Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "too many follow already"))?;
    let mut latest = context.live.latest.subscribe();
    // One that is there already need not be waited for.
    let is_there = latest.borrow().is_some();
    match is_there {
        true => latest.mark_changed(),
        false => context.live.wanted.notify_one(),
    }
    let follower = Follower { context: context.0, latest, told: HashMap::new(), _place: place };
    let stream = unfold(follower, |mut follower| async move {
        let picture = follower.next().await?;
        let event = Event::default().json_data(follower.news(&picture)).unwrap_or_default();
        Some((Ok::<_, Infallible>(event), follower))
    });
    // A proxy that collects answers before it passes them on would hold them for minutes.
    let unbuffered = [(HeaderName::from_static("x-accel-buffering"), "no")];
    Ok((unbuffered, Sse::new(stream).keep_alive(KeepAlive::default())))
}

impl Follower {
    /// The next picture; `None`: this process has none any more.
    async fn next(&mut self) -> Option<Arc<Picture>> {
        let context = self.context.clone();
        let next = async {
            loop {
                self.latest.changed().await.ok()?;
                if let Some(picture) = self.latest.borrow_and_update().clone() {
                    return Some(picture);
                }
            }
        };
        tokio::select! {
            next = next => next,
            () = left_to_a_successor(&context) => None,
        }
    }

    /// What is new in `picture`.
    fn news(&mut self, picture: &Picture) -> News {
        let history = self.context.live.history.lock().unwrap_or_else(PoisonError::into_inner);
        let mut rows = Vec::new();
        for Shown { key, digest, row } in &picture.rows {
            match self.told.insert(key.clone(), *digest) {
                Some(former) if former == *digest => {}
                Some(_) => rows.push(row.clone()),
                None => rows.push(Row { history: Some(history.of(key)), ..row.clone() }),
            }
        }
        drop(history);
        let there: HashSet<_> = picture.rows.iter().map(|shown| shown.key.as_str()).collect();
        let mut gone = Vec::new();
        self.told.retain(|key, _| {
            let stays = there.contains(key.as_str());
            if !stays {
                gone.push(key.clone());
            }
            stays
        });
        News { pulse: picture.pulse.clone(), rows, gone }
    }
}
