//! The instance hosts and their state: one immutable picture, replaced as a whole.

mod gate;

pub use gate::{Gate, Shut};

use crate::Observer;
use crate::connect::tls::{self, TlsError};
use crate::state::OperatorHold;
use rustls::ClientConfig;
use std::collections::HashMap;
use std::sync::Arc;
use usher_config::snapshot::{BackendTls, InstanceHost};

/// One instance host while the program runs.
pub struct Host {
    /// What the operator says of it.
    pub config: InstanceHost,
    /// How TLS towards it is made; a configuration of its own, so that no session of another host or of
    /// other pins is ever resumed with it. `None`: no TLS.
    pub(crate) tls: Option<Arc<ClientConfig>>,
    gate: Gate,
}

/// The right to use a host for one session. Counted until it is dropped.
pub struct Lease {
    host: Arc<Host>,
}

impl Lease {
    /// The host.
    pub fn host(&self) -> &Arc<Host> {
        &self.host
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.host.gate.leave();
    }
}

impl Host {
    /// Takes a lease.
    ///
    /// # Errors
    /// [`Shut`], when an operator holds the host or it has as many sessions as it may have.
    pub fn lease(self: &Arc<Self>) -> Result<Lease, Shut> {
        self.gate.enter(self.config.max_sessions)?;
        Ok(Lease { host: self.clone() })
    }
}

/// All instance hosts.
#[derive(Default)]
pub struct Roster {
    hosts: HashMap<String, Arc<Host>>,
}

impl Roster {
    /// Builds the roster of `hosts` under the operators' `holds`.
    ///
    /// # Errors
    /// When a host without pins is to be verified and the system has no roots.
    pub fn new(
        hosts: &[InstanceHost],
        holds: &[OperatorHold],
        observer: &Arc<dyn Observer>,
    ) -> Result<Self, TlsError> {
        let mut roster = Self::default();
        for config in hosts {
            let tls = match config.imap.tls {
                BackendTls::None => None,
                BackendTls::Implicit | BackendTls::StartTls => Some(tls::client_config(config, observer)?),
            };
            let gate = Gate::default();
            if holds.iter().any(|hold| hold.host == config.name) {
                gate.close();
            }
            let host = Host { config: config.clone(), tls, gate };
            roster.hosts.insert(config.name.clone(), Arc::new(host));
        }
        Ok(roster)
    }

    /// The host called `name`.
    pub fn host(&self, name: &str) -> Option<&Arc<Host>> {
        self.hosts.get(name)
    }
}
