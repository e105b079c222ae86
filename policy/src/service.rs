//! The services that backends offer.

use serde::Serialize;
use std::collections::BTreeMap;

/// A service that a backend offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Service {
    /// IMAP.
    Imap,
    /// HTTP.
    Http,
    /// Anything over TCP.
    Tcp,
}

impl Service {
    /// A word of a closed set, for logs and labels.
    pub fn name(self) -> &'static str {
        match self {
            Self::Imap => "imap",
            Self::Http => "http",
            Self::Tcp => "tcp",
        }
    }
}

/// What is known about each service that a host offers: `M` about the one that people log in to for their mail, `H`
/// about HTTP.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Services<M, H>(BTreeMap<Service, Known<M, H>>);

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
enum Known<M, H> {
    Mail(M),
    Http(H),
}

impl<M, H> Services<M, H> {
    /// IMAP, and HTTP if the host offers it.
    pub fn new(imap: M, http: Option<H>) -> Self {
        let mut services = BTreeMap::from([(Service::Imap, Known::Mail(imap))]);
        services.extend(http.map(|http| (Service::Http, Known::Http(http))));
        Self(services)
    }

    /// The services that the host offers.
    pub fn offered(&self) -> impl Iterator<Item = Service> {
        self.0.keys().copied()
    }

    /// Whether `service` is among them.
    pub fn offers(&self, service: Service) -> bool {
        self.0.contains_key(&service)
    }

    /// What is known of a mail service.
    pub fn mail(&self, service: Service) -> Option<&M> {
        match self.0.get(&service) {
            Some(Known::Mail(mail)) => Some(mail),
            Some(Known::Http(_)) | None => None,
        }
    }

    /// What is known about HTTP.
    pub fn http(&self) -> Option<&H> {
        match self.0.get(&Service::Http) {
            Some(Known::Http(http)) => Some(http),
            Some(Known::Mail(_)) | None => None,
        }
    }

    /// The same services, with other facts about each.
    pub fn map<N, I>(&self, mail: impl Fn(&M) -> N, http: impl Fn(&H) -> I) -> Services<N, I> {
        let known = self.0.iter().map(|(service, known)| {
            let known = match known {
                Known::Mail(known) => Known::Mail(mail(known)),
                Known::Http(known) => Known::Http(http(known)),
            };
            (*service, known)
        });
        Services(known.collect())
    }
}

impl<T> Services<T, T> {
    /// Each service with what is known about it.
    pub fn each(self) -> impl Iterator<Item = (Service, T)> {
        self.0.into_iter().map(|(service, known)| match known {
            Known::Mail(known) | Known::Http(known) => (service, known),
        })
    }
}
