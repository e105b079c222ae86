//! Logins by HTTP as failures are counted: requests with a password or a token, and login forms that are posted.

use super::message::refusal::Refusal;
use super::record::RequestRecord;
use crate::active::ListenerContext;
use crate::guessing::Who;
use usher_config::snapshot::Protocol;

impl RequestRecord {
    /// Lets a request that is a login wait as long as it has deserved. `stranger`: whom a form names whom the directory
    /// does not know.
    ///
    /// # Errors
    /// If it must not be tried.
    pub(crate) async fn admit(
        &mut self,
        at: &ListenerContext,
        stranger: Option<String>,
    ) -> Result<(), Refusal> {
        let guessing = &self.client.server.guessing;
        guessing.refuse_address(self.client.ends.client.ip()).map_err(Refusal::held_off)?;
        if !self.by.is_login() {
            return Ok(());
        }
        // Most requests are like the one before on their connection, and nobody has failed.
        let was_good = self.session.as_ref().is_some_and(|session| self.client.was_noted(session, self.by));
        if was_good && guessing.is_quiet() {
            return Ok(());
        }
        let until = self.begun + at.active.snapshot.server.login_wait;
        let who = self.who(stranger);
        self.attempt = Some(guessing.admit(who, until).await.map_err(Refusal::held_off)?);
        Ok(())
    }

    /// Notes that its login has succeeded.
    pub(crate) fn login_succeeded(&mut self) {
        if let Some(attempt) = &mut self.attempt {
            attempt.succeeded();
        }
    }

    /// Counts its login as failed.
    pub(crate) async fn login_failed(&mut self) {
        let attempt = self.attempt.take();
        let attempt = attempt.unwrap_or_else(|| self.client.server.guessing.unheld(self.who(None)));
        attempt.failed().await;
    }

    /// Who logs in.
    fn who(&self, stranger: Option<String>) -> Who {
        let about = self.session.as_ref().map(|session| &session.about);
        let users = match (stranger, about.and_then(|about| about.names.as_ref()), about) {
            (Some(stranger), _, _) => vec![stranger],
            (None, Some(names), _) => names.iter().map(ToString::to_string).collect(),
            (None, None, Some(about)) => vec![about.user.to_string()],
            (None, None, None) => Vec::new(),
        };
        Who { protocol: Protocol::Https, client: self.client.ends.client, users }
    }

    /// Whether it was sent to `path`.
    pub(crate) fn is_at(&self, path: &str) -> bool {
        self.path().eq_ignore_ascii_case(path)
    }
}
