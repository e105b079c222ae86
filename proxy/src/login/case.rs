//! One login under way.

use super::PreLogin;
use super::voice::Voice;
use crate::session::Session;
use rustls::pki_types::CertificateDer;
use usher_policy::ArchiveKey;
use usher_wire::imap::preauth::Claim;

/// What is known of a login while it is tried.
pub(super) struct Case<'c> {
    pub(super) prelogin: &'c PreLogin,
    pub(super) claim: &'c Claim,
    /// Whose archive is meant; `None`: no archive can have this name.
    pub(super) key: Option<&'c ArchiveKey>,
    pub(super) session: &'c Session,
    /// Of a login that is a conversation.
    pub(super) voice: Option<Voice>,
    /// What the client has shown.
    pub(super) certificate: Option<CertificateDer<'static>>,
    /// The version of TLS towards the client.
    pub(super) tls: &'static str,
}

impl Case<'_> {
    /// Whose login it is, for what depends on the name alone: however a name is written, it is on one host.
    pub(super) fn whose(&self) -> String {
        let typed = || String::from_utf8_lossy(self.claim.credential.acting_user()).into_owned();
        self.key.map_or_else(typed, ToString::to_string)
    }
}
