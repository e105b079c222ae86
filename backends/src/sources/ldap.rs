//! An LDAP directory: one search for the user, and another one for the domain.

use super::engine::{Answer, Engine, Question};
use super::fault::SourceFault;
use super::names::{fill, read};
use super::shared::Shared;
use super::{secret, tls};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use ldap3::{
    DerefAliases, Ldap as Handle, LdapConnAsync, LdapConnSettings, LdapError, Scope, SearchEntry,
    SearchOptions, ldap_escape,
};
use rustls::ClientConfig;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;
use usher_config::snapshot::Ldap;
use usher_policy::ArchiveKey;

/// The result codes of a search that are answers (RFC 4511 appendix A.1): success, and more entries than were wanted.
const SUCCESS: u32 = 0;
const SIZE_LIMIT_EXCEEDED: u32 = 4;

pub(super) struct LdapEngine {
    ldap: Ldap,
    tls: Arc<ClientConfig>,
    deadline: Duration,
    shared: Shared<Handle>,
}

impl LdapEngine {
    pub(super) fn new(ldap: &Ldap, deadline: Duration) -> Result<Self, SourceFault> {
        let anna = ArchiveKey::User("anna@example.com".to_owned());
        for filter in [Some(&ldap.filter), ldap.domain_filter.as_ref()].into_iter().flatten() {
            let example = fill(filter, &anna, |value| ldap_escape(value));
            ldap3::parse_filter(&example)
                .map_err(|_| SourceFault::Out(format!("not a filter: {filter:?}")))?;
        }
        let tls = tls::config(ldap.access.ca.as_deref())?;
        Ok(Self { ldap: ldap.clone(), tls, deadline, shared: Shared::new() })
    }

    async fn connect(&self) -> Result<Handle, SourceFault> {
        let urls = &self.ldap.access.urls;
        // One that does not answer must leave time for the others.
        let share = self.deadline / urls.len().max(1) as u32;
        let mut last = SourceFault::out("no address");
        for url in urls {
            match Box::pin(timeout(share, self.connect_to(url))).await {
                Ok(Ok(handle)) => return Ok(handle),
                Ok(Err(fault)) => last = fault,
                Err(_) => last = SourceFault::Out(format!("{url} does not answer in time")),
            }
        }
        Err(last)
    }

    async fn connect_to(&self, url: &str) -> Result<Handle, SourceFault> {
        let settings = LdapConnSettings::new().set_config(self.tls.clone()).set_starttls(self.ldap.starttls);
        let failed = |error: LdapError| SourceFault::Out(format!("{url}: {error}"));
        let (connection, mut handle) =
            Box::pin(LdapConnAsync::with_settings(settings, url)).await.map_err(failed)?;
        tokio::spawn(async move {
            // Whoever uses it hears of its end.
            let _ = Box::pin(connection.drive()).await;
        });
        if let Some(dn) = &self.ldap.bind_dn {
            let password = secret::password(&self.ldap.access).await?;
            let password = password.as_ref().map(secret::text).transpose()?.unwrap_or_default();
            let bound = handle.simple_bind(dn, password).await.and_then(ldap3::LdapResult::success);
            bound.map_err(failed)?;
        }
        Ok(handle)
    }

    async fn find(&self, key: &ArchiveKey) -> Answer {
        let mut handle = Box::pin(self.shared.get(self.connect())).await?;
        let mut found = self.search(&mut handle, key, key, &self.ldap.filter).await;
        if let (Ok(None), Some(filter), Some(domain)) = (&found, &self.ldap.domain_filter, key.domain()) {
            found = self.search(&mut handle, key, &domain, filter).await;
        }
        if !matches!(found, Err(SourceFault::Out(_))) {
            handle.done();
        }
        found
    }

    async fn search(&self, handle: &mut Handle, key: &ArchiveKey, by: &ArchiveKey, filter: &str) -> Answer {
        let Ldap { base, host_attribute, login_attribute, attributes, .. } = &self.ldap;
        let filter = fill(filter, key, |value| ldap_escape(value));
        let wanted: Vec<&str> = [Some(host_attribute), login_attribute.as_ref()]
            .into_iter()
            .flatten()
            .chain(attributes)
            .map(String::as_str)
            .collect();
        // A second entry is enough to know that there is more than one.
        let options = SearchOptions::new().deref(DerefAliases::Always).sizelimit(2);
        let searched = handle
            .with_search_options(options)
            .with_timeout(self.deadline)
            .search(base, Scope::Subtree, &filter, wanted)
            .await
            .map_err(SourceFault::out)?;
        let (entries, result) = (searched.0, searched.1);
        if result.rc != SUCCESS && result.rc != SIZE_LIMIT_EXCEEDED {
            return Err(SourceFault::Out(format!("the search fails with {result}")));
        }
        let mut entries = entries.into_iter().filter(|entry| !entry.is_ref() && !entry.is_intermediate());
        let Some(entry) = entries.next() else { return Ok(None) };
        if entries.next().is_some() || result.rc == SIZE_LIMIT_EXCEEDED {
            return Err(SourceFault::answer(format!("{key} has more than one entry")));
        }
        let entry = SearchEntry::construct(entry);
        read(key, by, self.fields(&entry)).map(Some)
    }

    /// What an entry says, under the names that all sources share.
    fn fields(&self, entry: &SearchEntry) -> Vec<(String, String)> {
        let mut fields = Vec::new();
        for (name, values) in &entry.attrs {
            let is = |wanted: &str| name.eq_ignore_ascii_case(wanted);
            for value in values {
                if is(&self.ldap.host_attribute) {
                    fields.push(("host".to_owned(), host(value).to_owned()));
                } else if self.ldap.login_attribute.as_deref().is_some_and(is) {
                    fields.push(("login".to_owned(), value.clone()));
                } else if let Some(own) = self.ldap.attributes.iter().find(|own| is(own)) {
                    fields.push((own.clone(), value.clone()));
                }
            }
        }
        fields
    }
}

/// The host that a value names: Exchange writes a path of which the last part is the server's name.
fn host(value: &str) -> &str {
    match value.strip_prefix('/') {
        Some(path) => {
            path.rsplit('/').next().and_then(|last| last.split_once('=')).map_or(value, |(_, cn)| cn)
        }
        None => value,
    }
}

impl Engine for LdapEngine {
    fn look_up<'a>(&'a self, question: &'a Question) -> BoxFuture<'a, Answer> {
        self.find(&question.key).boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::host;

    #[test]
    fn the_last_part_of_exchange_s_path_is_the_server() {
        let path = "/o=Org/ou=Exchange Administrative Group/cn=Configuration/cn=Servers/cn=EXCH01";
        assert_eq!((host(path), host("ih1.example.com")), ("EXCH01", "ih1.example.com"));
    }
}
