//! Certificates that usher orders itself (RFC 8555), one for each name, and replaces before they end. Whatever fails, the
//! certificate that is there stays in use.

mod account;
mod client;
mod error;
mod order;
mod renewal_info;
mod restore;
mod state;
mod store;

use restore::kept;
pub(crate) use restore::restore;

use crate::active::{ActiveConfig, CurrentConfig};
use crate::metrics::Metrics;
use crate::shutdown::Shutdown;
use crate::tls::{Acquired, Loaded};
use account::account;
use client::noting_patience;
use error::OrderError;
use instant_acme::Account;
use order::{Way, order};
use state::States;
use std::collections::{BTreeSet, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use store::{Files, Store};
use tokio::sync::Mutex as AsyncMutex;
use tokio::task::JoinSet;
use tokio::time::timeout;
use usher_backends::roster::now;
use usher_config::snapshot::{Acme, Protocol, Serves};
use usher_policy::renewal::{self, Validity};

/// How often to look what is due.
const LOOK: Duration = Duration::from_secs(1);
/// Orders that are under way at once.
const AT_ONCE: usize = 4;
/// Longest time for one order.
const LONGEST: Duration = Duration::from_secs(5 * 60);

/// Sees to it that there are certificates.
pub(crate) struct Keeper {
    config: Arc<CurrentConfig>,
    pub(crate) acquired: Arc<Acquired>,
    metrics: Arc<Metrics>,
    shutdown: Arc<Shutdown>,
    pub(crate) states: States,
    /// The account, and what it was had with.
    account: AsyncMutex<Option<(Acme, Account)>>,
}

/// Orders what is due, until usher stops or has a successor.
pub(crate) async fn keep(keeper: Arc<Keeper>) {
    let mut orders = JoinSet::new();
    let under_way = UnderWay::default();
    let mut last: Option<Arc<ActiveConfig>> = None;
    while !keeper.shutdown.has_begun() && !keeper.shutdown.is_retired() {
        let active = keeper.config.load_full();
        let wanted = keeper.wanted(&active);
        keeper.acquired.keep(|name| wanted.contains(name));
        keeper.states.keep(|name| wanted.contains(name));
        // What has failed may have been mended.
        if last.replace(active.clone()).is_some_and(|last| !Arc::ptr_eq(&last, &active)) {
            keeper.states.try_again();
        }
        while orders.try_join_next().is_some() {}
        for name in wanted {
            if orders.len() < AT_ONCE
                && keeper.is_due(&active, &name)
                && let Some(begun) = under_way.begin(&name)
            {
                let (keeper, active) = (keeper.clone(), active.clone());
                orders.spawn(async move {
                    let _begun = begun;
                    keeper.attempt(&active, &name).await;
                });
            }
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// The names for which something is being tried.
#[derive(Clone, Default)]
struct UnderWay(Arc<Mutex<HashSet<String>>>);

impl UnderWay {
    fn names(&self) -> MutexGuard<'_, HashSet<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `None`: something is being tried already.
    fn begin(&self, name: &str) -> Option<Begun> {
        self.names().insert(name.to_owned()).then(|| Begun { name: name.to_owned(), under_way: self.clone() })
    }
}

/// An attempt, until this is dropped, however it ends.
struct Begun {
    name: String,
    under_way: UnderWay,
}

impl Drop for Begun {
    fn drop(&mut self) {
        self.under_way.names().remove(&self.name);
    }
}

/// How the authority can be shown that a name is usher's.
fn ways(active: &ActiveConfig) -> Vec<Way> {
    let listeners = &active.snapshot.listeners;
    let by_http = listeners.iter().any(|listener| matches!(listener.serves, Serves::HttpRedirect(_)));
    let by_tls = listeners.iter().any(|listener| listener.protocol() == Protocol::Https);
    [(by_http, Way::Http), (by_tls, Way::TlsAlpn)]
        .into_iter()
        .filter_map(|(can, way)| can.then_some(way))
        .collect()
}

impl Keeper {
    /// One that keeps what is `acquired`.
    pub(crate) fn new(
        config: &Arc<CurrentConfig>,
        acquired: &Arc<Acquired>,
        metrics: &Arc<Metrics>,
        shutdown: &Arc<Shutdown>,
    ) -> Arc<Self> {
        Arc::new(Self {
            config: config.clone(),
            acquired: acquired.clone(),
            metrics: metrics.clone(),
            shutdown: shutdown.clone(),
            states: States::default(),
            account: AsyncMutex::default(),
        })
    }

    /// The names that need a certificate of usher's: no file of the operator's has them.
    pub(crate) fn wanted(&self, active: &ActiveConfig) -> BTreeSet<String> {
        let names = active.snapshot.acme_names();
        names.into_iter().filter(|name| !active.tls.certificates.has_in_files(name)).collect()
    }

    /// Whether something is to be done about the certificate for `name`.
    fn is_due(&self, active: &ActiveConfig, name: &str) -> bool {
        let known = self.states.known(name);
        let now = now();
        if now < known.not_before {
            return false;
        }
        match self.acquired.get(name) {
            None => true,
            // Another authority is another directory.
            Some(loaded) if !self.is_in(active, &loaded, name) => true,
            Some(loaded) => now >= known.ask_again || now >= known.due(&loaded.validity()),
        }
    }

    /// Asks when the certificate for `name` is to be replaced, and replaces it if that is now.
    async fn attempt(&self, active: &ActiveConfig, name: &str) {
        let Some(acme) = &active.snapshot.acme else { return };
        let attempt = timeout(LONGEST, Box::pin(self.try_to_order(active, acme, name)));
        let (attempt, asked) = noting_patience(attempt).await;
        let attempt = attempt.unwrap_or_else(|_| {
            Err(OrderError::new(error::Stage::Order, "the authority has not finished in time"))
        });
        match attempt {
            Ok(None) => {}
            Ok(Some(validity)) => {
                self.metrics.acme_order(Ok(()));
                self.states.succeeded(name, &validity);
                tracing::info!(name, not_after = validity.not_after, "there is a new certificate");
            }
            Err(error) => {
                let known = self.states.known(name);
                // Until something is due, it is no matter.
                let is_needed = self.acquired.get(name).is_none_or(|loaded| {
                    !self.is_in(active, &loaded, name) || now() >= known.due(&loaded.validity())
                });
                if !is_needed && error.stage != error::Stage::Store {
                    tracing::debug!(name, %error, "the authority cannot be asked when to replace a certificate");
                    return self.states.told_nothing(name);
                }
                let failures = known.failures.saturating_add(1);
                let wait = renewal::wait(failures, acme.retry);
                self.metrics.acme_order(Err(error.stage.name()));
                self.states.failed(name, &error, wait, asked);
                tracing::error!(
                    name,
                    stage = error.stage.name(),
                    %error,
                    failures,
                    again_seconds = wait.max(asked).as_secs(),
                    "no certificate could be ordered; what is served stays as it is"
                );
            }
        }
    }

    /// Whether a certificate is of the authority that is configured.
    fn is_in(&self, active: &ActiveConfig, loaded: &Loaded, name: &str) -> bool {
        let snapshot = &active.snapshot;
        let path = |acme: &Acme| Files::new(&snapshot.server.state_dir, &acme.directory).path(name);
        snapshot.acme.as_ref().is_some_and(|acme| path(acme) == loaded.chain)
    }

    /// Returns what the new certificate is valid for, if there is one now.
    async fn try_to_order(
        &self,
        active: &ActiveConfig,
        acme: &Acme,
        name: &str,
    ) -> Result<Option<Validity>, OrderError> {
        let store = Files::new(&active.snapshot.server.state_dir, &acme.directory);
        let mut former = self.acquired.get(name).filter(|loaded| self.is_in(active, loaded, name));
        if former.is_none()
            && let Some(kept) = kept(&store, name)
        {
            // From before the name was away for a while, or of a process before this one.
            self.acquired.put(name, kept);
            former = self.acquired.get(name);
        }
        let account = self.account(acme, &store).await?;
        let tried = self.renew(active, acme, (&account, &store), name, former).await;
        if tried.as_ref().is_err_and(|error| error.has_no_account) {
            self.forget_account(&account, &store).await;
        }
        tried
    }

    /// Orders a certificate, unless the `former` one will do for now.
    async fn renew(
        &self,
        active: &ActiveConfig,
        acme: &Acme,
        (account, store): (&Account, &dyn Store),
        name: &str,
        former: Option<Arc<Loaded>>,
    ) -> Result<Option<Validity>, OrderError> {
        let mut replaces = None;
        if let Some(former) = &former {
            match renewal_info::ask(account, former).await {
                Ok(told) => {
                    self.states.told(name, told.window, told.ask_again);
                    replaces = told.id;
                }
                Err(error) => {
                    tracing::debug!(name, %error, "the authority does not say when to replace a certificate");
                    self.states.told_nothing(name);
                }
            }
            if now() < self.states.known(name).due(&former.validity()) {
                return Ok(None);
            }
        }
        let ways = ways(active);
        // What does not work one way may work in the other.
        let failures = self.states.known(name).failures as usize;
        let Some(way) = ways.get(failures % ways.len().max(1)) else { return Ok(None) };
        let path = store.path(name);
        let unkept = |error| OrderError::new(error::Stage::Store, format!("{}: {error}", path.display()));
        store.try_to_keep().map_err(unkept)?;
        let what = (acme.key, path.as_path());
        let ordered = order(account, &self.acquired, name, *way, replaces.clone(), what).await;
        let ordered = match ordered {
            Err(error) if replaces.is_some() && error.stage == error::Stage::Order && error.is_refusal => {
                order(account, &self.acquired, name, *way, None, what).await
            }
            ordered => ordered,
        }?;
        let kept = store.keep_certificate(name, &ordered.pem);
        let validity = ordered.loaded.validity();
        // Unless another authority has been chosen meanwhile.
        if self.is_in(&self.config.load(), &ordered.loaded, name) {
            self.acquired.put(name, ordered.loaded);
        }
        kept.map(|()| Some(validity)).map_err(unkept)
    }

    /// The authority does not know the account any longer: the next order makes another one.
    async fn forget_account(&self, account: &Account, store: &dyn Store) {
        let mut known = self.account.lock().await;
        if known.take_if(|(_, known)| known.id() == account.id()).is_some()
            && let Err(error) = store.forget_account()
        {
            tracing::error!(%error, "an account that is of no use cannot be removed");
        }
    }

    /// The account at the authority as it is configured now.
    async fn account(&self, acme: &Acme, store: &dyn Store) -> Result<Account, OrderError> {
        let mut known = self.account.lock().await;
        if let Some((_, account)) = known.as_ref().filter(|(of, _)| of == acme) {
            return Ok(account.clone());
        }
        let account = account(acme, store).await?;
        *known = Some((acme.clone(), account.clone()));
        Ok(account)
    }
}
