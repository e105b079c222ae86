//! Asks the hosts who has a user whom the directory does not know, and remembers the answer as an entry.
//!
//! One host that says yes is the home. If nobody does and one cannot be asked, that is an outage, never a wrong
//! password; if two do, nobody is served until an operator decides.

mod recent;

use crate::active::CurrentConfig;
use dashmap::DashMap;
use futures_util::future::join_all;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use recent::Recent;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{OnceCell, Semaphore};
use tokio::time::timeout;
use usher_backends::Observer;
use usher_backends::connect::{Deadlines, OnBehalf};
use usher_backends::directory::{DirectoryError, Ledger};
use usher_backends::health::secret;
use usher_backends::peers::{Has, ask_by_http, ask_by_login};
use usher_backends::roster::{Fleet, Host, HostOrigin, Service};
use usher_config::snapshot::{AskPeers, LoginAs, Peers as Asked};
use usher_policy::ArchiveKey;
use usher_policy::identity::{Named, Says};
use usher_wire::imap::sasl::Credential;
use usher_wire::secret::Secret;

/// Users about whom hosts are asked at a time.
const AT_ONCE: usize = 64;
/// Longest wait for a place among them.
const QUEUE: Duration = Duration::from_secs(5);
/// For how long an answer that makes no entry is remembered.
const RECENT: Duration = Duration::from_secs(5);
/// Users on two hosts that are told of.
const TWICE: usize = 10_000;

/// The credential of somebody's own login, as a host is given it.
type CredentialAt<'c> = dyn Fn(&Host) -> Credential + Sync + 'c;

/// What the hosts say of a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Told {
    /// This one has the user.
    On(String),
    Nobody,
    /// Nobody says yes, and these cannot be asked.
    Unsure(String),
    /// These all have the user.
    Twice(Vec<String>),
}

/// Somebody who asks about a user. Whoever goes last, even before there is an answer, leaves nothing behind.
struct Asking<'p> {
    peers: &'p Peers,
    key: &'p ArchiveKey,
    cell: Arc<OnceCell<Told>>,
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        self.peers.asking.remove_if(self.key, |_, asked| {
            // One reference is the table's, the other this one's.
            Arc::ptr_eq(asked, &self.cell) && (asked.initialized() || Arc::strong_count(asked) <= 2)
        });
    }
}

/// Asks hosts.
pub(crate) struct Peers {
    config: Arc<CurrentConfig>,
    directory: Arc<dyn Ledger>,
    fleet: Arc<Fleet>,
    observer: Arc<dyn Observer>,
    /// Those who ask about the same user share the answer.
    asking: DashMap<ArchiveKey, Arc<OnceCell<Told>>>,
    recent: Recent,
    places: Semaphore,
    twice: Mutex<BTreeMap<String, Vec<String>>>,
}

impl Peers {
    pub(crate) fn new(
        config: Arc<CurrentConfig>,
        directory: Arc<dyn Ledger>,
        fleet: Arc<Fleet>,
        observer: Arc<dyn Observer>,
    ) -> Self {
        let (asking, twice) = Default::default();
        let (recent, places) = (Recent::new(RECENT), Semaphore::new(AT_ONCE));
        Self { config, directory, fleet, observer, asking, recent, places, twice }
    }

    /// Asks who has the user `key`; `None`: nobody is to be asked, or only by the user's own login.
    pub(crate) async fn ask(&self, key: &ArchiveKey) -> Option<Told> {
        if self.asked().is_none_or(|asked| asked.ask == AskPeers::Login)
            || !matches!(key, ArchiveKey::User(_))
        {
            return None;
        }
        if let Some(told) = self.recent.get(key) {
            return Some(told);
        }
        let asking = Asking { peers: self, key, cell: self.asking.entry(key.clone()).or_default().clone() };
        let told = asking.cell.get_or_init(|| self.ask_all(key, None)).await.clone();
        drop(asking);
        self.recent.put(key, &told);
        Some(told)
    }

    /// Asks who lets the user `key` in with the `credential` for the host, each host once; `None`: that is not wanted.
    pub(crate) async fn ask_by_own_login(
        &self,
        key: &ArchiveKey,
        credential: &CredentialAt<'_>,
        on_behalf: OnBehalf<'_>,
    ) -> Option<Told> {
        let is_wanted = self.asked().is_some_and(|asked| asked.ask == AskPeers::Login);
        if !is_wanted || !matches!(key, ArchiveKey::User(_)) {
            return None;
        }
        Some(self.ask_all(key, Some((credential, on_behalf))).await)
    }

    /// The users whom two hosts have, and these hosts, as far as nobody has decided.
    pub(crate) fn duplicates(&self) -> Vec<(String, Vec<String>)> {
        let domains = &self.config.load().snapshot.domains;
        let undecided = |user: &str| {
            let key = domains.written(user);
            key.is_none_or(|key| !matches!(self.directory.look_up(&key), Ok(Some(_))))
        };
        // Whoever asks peers must not wait for the directory.
        let users: Vec<String> = self.twice().keys().cloned().collect();
        let decided: Vec<String> = users.into_iter().filter(|user| !undecided(user)).collect();
        self.twice().retain(|user, _| !decided.contains(user));
        self.twice().iter().map(|(user, hosts)| (user.clone(), hosts.clone())).collect()
    }

    fn asked(&self) -> Option<Asked> {
        self.config.load().snapshot.directory.peers.clone()
    }

    async fn ask_all(&self, key: &ArchiveKey, own: Option<(&CredentialAt<'_>, OnBehalf<'_>)>) -> Told {
        let Some(asked) = self.asked() else { return Told::Nobody };
        let Ok(Ok(_place)) = timeout(QUEUE, self.places.acquire()).await else {
            return Told::Unsure("too many others are asked about".to_owned());
        };
        let hosts = self.hosts(&asked);
        let answers = match own {
            Some((credential, on_behalf)) => {
                let asking = hosts.iter().map(|host| self.by_own_login(host, credential(host), on_behalf));
                join_all(asking).await
            }
            None => self.by(&asked.ask, key, &hosts).await,
        };
        let told = sum_up(hosts.iter().zip(answers));
        match &told {
            Told::On(host) => return self.enter(key, host, &asked.ask).await,
            Told::Twice(hosts) => {
                tracing::error!(user = %key, ?hosts, "several hosts have this user; nobody is served until: usher user set");
                let mut twice = self.twice();
                if twice.len() < TWICE {
                    twice.insert(key.to_string(), hosts.clone());
                }
            }
            Told::Unsure(why) => tracing::error!(user = %key, why, "who has this user cannot be found out"),
            Told::Nobody => {}
        }
        told
    }

    /// The hosts to be asked, in the operator's order.
    fn hosts(&self, asked: &Asked) -> Vec<Arc<Host>> {
        let roster = self.fleet.roster();
        match asked.hosts.is_empty() {
            true => roster.hosts().cloned().collect(),
            false => asked.hosts.iter().filter_map(|name| roster.host(name).cloned()).collect(),
        }
    }

    async fn by(&self, ask: &AskPeers, key: &ArchiveKey, hosts: &[Arc<Host>]) -> Vec<Has> {
        let deadlines = Deadlines::from(&self.config.load().snapshot.limits);
        match ask {
            AskPeers::Login => vec![Has::No; hosts.len()],
            AskPeers::Http { path } => {
                let path =
                    path.replace("{user}", &utf8_percent_encode(key.name(), NON_ALPHANUMERIC).to_string());
                join_all(hosts.iter().map(|host| {
                    let asking = Box::pin(ask_by_http(host, &path, &deadlines));
                    self.in_service(host, Service::Http, asking)
                }))
                .await
            }
            AskPeers::Master { user, password_file } => {
                let file = password_file.clone();
                let read = tokio::task::spawn_blocking(move || secret::read(&file, &HostOrigin::File, None));
                let password = match read.await {
                    Ok(Ok(password)) => password,
                    Ok(Err(error)) => return vec![Has::Unsure(error.to_string()); hosts.len()],
                    Err(error) => return vec![Has::Unsure(error.to_string()); hosts.len()],
                };
                let separator = self.config.load().snapshot.domains.master_separator().unwrap_or('*');
                join_all(hosts.iter().map(|host| {
                    let name = format!("{}{separator}{user}", name_at(host, key));
                    let credential = credential(name, &password);
                    let deadlines = &deadlines;
                    async move {
                        let asking =
                            Box::pin(ask_by_login(host, &credential, None, &self.observer, deadlines));
                        self.in_service(host, Service::Imap, asking).await
                    }
                }))
                .await
            }
        }
    }

    async fn by_own_login(&self, host: &Host, own: Credential, on_behalf: OnBehalf<'_>) -> Has {
        let deadlines = Deadlines::from(&self.config.load().snapshot.limits);
        let asking = Box::pin(ask_by_login(host, &own, Some(on_behalf), &self.observer, &deadlines));
        self.in_service(host, Service::Imap, asking).await
    }

    /// The answer of a host, unless it is out of service: then it cannot be asked.
    async fn in_service(&self, host: &Host, service: Service, asking: impl Future<Output = Has>) -> Has {
        match host.services.offers(service) && !host.standing.serves(service) {
            true => Has::Unsure(host.standing.state(service).name().to_owned()),
            false => asking.await,
        }
    }

    /// Remembers the answer as an entry.
    async fn enter(&self, key: &ArchiveKey, host: &str, ask: &AskPeers) -> Told {
        let how = match ask {
            AskPeers::Master { .. } => "master login",
            AskPeers::Http { .. } => "HTTP look-up",
            AskPeers::Login => "own login",
        };
        let (directory, entered, at) = (self.directory.clone(), key.clone(), host.to_owned());
        // The disk is waited for where that delays nobody else.
        let adding = move || directory.add(&entered, &at, &format!("peers ({how})"));
        let Ok(added) = tokio::task::spawn_blocking(adding).await else {
            return Told::Unsure("the entry cannot be made".to_owned());
        };
        match added {
            Ok(None) => {
                tracing::info!(user = %key, host, how, "a host has a user whom the directory did not know");
                Told::On(host.to_owned())
            }
            // Somebody else was faster.
            Ok(Some(there)) => Told::On(there),
            Err(error) => Told::Unsure(error.to_string()),
        }
    }

    fn twice(&self) -> MutexGuard<'_, BTreeMap<String, Vec<String>>> {
        self.twice.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Told {
    /// The same as the directory would say it.
    pub(crate) fn error(self) -> Option<DirectoryError> {
        match self {
            Self::On(_) | Self::Nobody => None,
            Self::Unsure(why) => Some(DirectoryError::Unsure(why)),
            Self::Twice(hosts) => Some(DirectoryError::Twice(hosts)),
        }
    }
}

/// The user's name as the host is given it.
fn name_at(host: &Host, key: &ArchiveKey) -> String {
    let named = Named { key: key.clone(), says: Says::Own };
    match &host.config.login_as {
        LoginAs::Template(template) => template.fill(&named).unwrap_or_else(|| key.name().to_owned()),
        LoginAs::Typed | LoginAs::Canonical => key.name().to_owned(),
    }
}

fn credential(user: String, password: &Secret) -> Credential {
    Credential::with_password(user.into_bytes(), password.clone())
}

fn sum_up<'h>(answers: impl Iterator<Item = (&'h Arc<Host>, Has)>) -> Told {
    let (mut yes, mut unsure) = (Vec::new(), Vec::new());
    for (host, has) in answers {
        match has {
            Has::Yes => yes.push(host.config.name.clone()),
            Has::No => {}
            Has::Unsure(why) => unsure.push(format!("{}: {why}", host.config.name)),
        }
    }
    match (yes.len(), unsure.is_empty()) {
        (0, true) => Told::Nobody,
        (0, false) => Told::Unsure(unsure.join("; ")),
        (1, _) => Told::On(yes.swap_remove(0)),
        _ => Told::Twice(yes),
    }
}
