//! One login under way.

use super::PreLogin;
use super::voice::Voice;
use crate::guessing::Attempt;
use crate::session::Session;
use rustls::CipherSuite;
use rustls::pki_types::CertificateDer;
use std::sync::OnceLock;
use std::time::Duration;
use usher_policy::ArchiveKey;
use usher_policy::identity::Arrival;
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
    /// Its cipher suite, if there is TLS.
    pub(super) cipher_suite: Option<CipherSuite>,
    /// The name that the client has asked for with SNI.
    pub(super) server_name: Option<String>,
    /// It, while it may fail.
    pub(super) attempt: OnceLock<Box<Attempt>>,
}

impl Case<'_> {
    /// How the client has come, for names that are not whole.
    pub(super) fn arrival(&self) -> Arrival<'_> {
        Arrival { local: Some(self.prelogin.local.ip()), server_name: self.server_name.as_deref() }
    }

    /// Notes the answer of a host, or that it has given none, which `took` so long. In a conversation the client has taken some
    /// of that time.
    pub(super) fn note_answer(&self, host: &str, is_answer: bool, took: Duration) {
        let took = Some(took).filter(|_| self.voice.is_none());
        if is_answer {
            self.prelogin.server.metrics.host_login(host, took);
        }
        if let Some(took) = took {
            self.prelogin.tell_if_slow("host-login", host, &self.session.about.user, took);
        }
    }

    /// What the client has said is on its way to somebody who judges it.
    pub(super) fn expose(&self) {
        self.attempt.get().into_iter().for_each(|attempt| attempt.expose());
    }

    /// Nobody judges it for now.
    pub(super) fn rest(&self) {
        self.attempt.get().into_iter().for_each(|attempt| attempt.rest());
    }

    /// Whose login it is, for what depends on the name alone: however a name is written, it is on one host.
    pub(super) fn whose(&self) -> String {
        let typed = || String::from_utf8_lossy(self.claim.credential.acting_user()).into_owned();
        self.key.map_or_else(typed, ToString::to_string)
    }
}
