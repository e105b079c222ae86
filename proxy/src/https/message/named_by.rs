//! The name of its user in a request, and where it was found.

use usher_policy::ArchiveKey;
use usher_policy::access::Name;

/// A name that was found.
#[derive(Clone)]
pub(crate) struct Named {
    /// `None`: nobody can be called so.
    pub(crate) key: Option<ArchiveKey>,
    /// Everybody whom it shows, if that is not just the user.
    pub(crate) names: Vec<Name>,
    pub(crate) by: NamedBy,
    /// It cannot be anything but a name.
    pub(crate) is_certain: bool,
}

/// Which of the identities named somebody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NamedBy {
    Nothing,
    Basic,
    Bearer,
    Path,
    Query,
    Host,
    Form,
    Header,
    ClientCertificate,
    Cookie,
}

impl NamedBy {
    /// A word of a closed set, for logs.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Basic => "basic",
            Self::Bearer => "bearer",
            Self::Path => "path",
            Self::Query => "query",
            Self::Host => "host",
            Self::Form => "form",
            Self::Header => "header",
            Self::ClientCertificate => "client-certificate",
            Self::Cookie => "cookie",
        }
    }

    /// Whether the name came with a password or a token, which the backend judges in its answer.
    pub(crate) fn is_credential(self) -> bool {
        matches!(self, Self::Basic | Self::Bearer)
    }
}
