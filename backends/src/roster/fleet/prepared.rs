//! Prepares the targets and the TLS of a configuration's hosts and members before any of them is used.

use super::builder::{ArrayDraft, HostDraft};
use super::{Fleet, HostOrigin};
use crate::Observer;
use crate::connect::identity::Identity;
use crate::connect::tls::{self, TlsError};
use crate::connect::{HttpTarget, MailTarget};
use rustls::ClientConfig;
use std::collections::HashMap;
use std::sync::Arc;
use usher_config::snapshot::{Array, BackendTls, InstanceHost, Member};

/// Hosts and arrays of a configuration, with TLS prepared, ready to be put in place.
pub struct Prepared {
    pub(super) hosts: Vec<HostDraft>,
    pub(super) arrays: Vec<ArrayDraft>,
}

impl Fleet {
    /// Prepares TLS for a configuration's hosts and members; those that have not changed keep theirs.
    ///
    /// # Errors
    /// When no TLS can be made towards one of them.
    pub fn prepare(&self, hosts: &[InstanceHost], arrays: &[Array]) -> Result<Prepared, TlsError> {
        let (former_hosts, former_arrays) = {
            let builder = self.publisher.builder();
            (builder.file.clone(), builder.arrays.clone())
        };
        let former_hosts: HashMap<_, _> =
            former_hosts.iter().map(|former| (former.config.name.as_str(), former)).collect();
        let draft = |config: &InstanceHost| {
            let former = former_hosts.get(config.name.as_str());
            match former.filter(|former| *former.config == *config) {
                Some(former) => Ok(HostDraft::clone(former)),
                None => host_draft(
                    config.clone(),
                    HostOrigin::File,
                    &self.publisher.identity,
                    &self.publisher.observer,
                ),
            }
        };
        let array = |config: &Array| {
            let former = former_arrays.iter().find(|former| former.config.name == config.name);
            if let Some(former) = former.filter(|former| *former.config == *config) {
                return Ok(former.clone());
            }
            let tls = config.members.iter().map(|member| {
                let wants = member.http.as_ref().is_some_and(|http| http.tls);
                self.tls_of(member, wants)
            });
            let tls = tls.collect::<Result<Vec<_>, _>>()?;
            let targets = config.members.iter().zip(&tls).map(|(member, tls)| {
                member.http.as_ref().map(|http| HttpTarget::new(&member.name, http, tls.as_ref()))
            });
            Ok(ArrayDraft {
                http: targets.collect(),
                tls,
                config: Arc::new(config.clone()),
                memory: former.map_or_else(Arc::default, |former| former.memory.clone()),
            })
        };
        Ok(Prepared {
            hosts: hosts.iter().map(draft).collect::<Result<_, TlsError>>()?,
            arrays: arrays.iter().map(array).collect::<Result<_, TlsError>>()?,
        })
    }

    fn tls_of(&self, member: &Member, wants: bool) -> Result<Option<Arc<ClientConfig>>, TlsError> {
        let (name, pins, shows) = (&member.name, &member.pins, member.client_certificate);
        wants
            .then(|| {
                tls::client_config(name, pins, shows, &self.publisher.identity, &self.publisher.observer)
            })
            .transpose()
    }
}

/// A host with its targets prepared.
pub(super) fn host_draft(
    config: InstanceHost,
    origin: HostOrigin,
    identity: &Identity,
    observer: &Arc<dyn Observer>,
) -> Result<HostDraft, TlsError> {
    let speaks_tls = config.services.map(|mail| mail.tls != BackendTls::None, |http| http.tls);
    let wants_tls = speaks_tls.each().any(|(_, speaks)| speaks);
    let tls = wants_tls
        .then(|| {
            tls::client_config(&config.name, &config.pins, config.client_certificate, identity, observer)
        })
        .transpose()?;
    let services = config.services.map(
        |mail| MailTarget::new(&config.name, mail, tls.as_ref()),
        |http| HttpTarget::new(&config.name, http, tls.as_ref()),
    );
    Ok(HostDraft { config: Arc::new(config), origin, services: Arc::new(services) })
}
