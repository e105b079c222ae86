//! Whether somebody can log in at the host that an archive is moved to.

use super::error::MoveError;
use usher_backends::connect::{self, Deadlines, LoginOutcome};
use usher_backends::roster::{Host, Service};
use usher_wire::imap::id::ClientId;
use usher_wire::imap::sasl::Credential;
use usher_wire::secret::Secret;

/// A login that must succeed there.
pub(crate) struct LoginTest {
    credential: Credential,
}

impl LoginTest {
    /// Of this user with this password.
    pub(crate) fn new(user: String, password: Secret) -> Self {
        Self { credential: Credential::with_password(user.into_bytes(), password) }
    }

    pub(super) async fn succeeds_at(&self, host: &Host, deadlines: &Deadlines) -> Result<(), MoveError> {
        let failed = |why: String| MoveError::Login { host: host.config.name.clone(), why };
        let target =
            host.services.mail(Service::Imap).ok_or_else(|| failed("it has no `imap`".to_owned()))?;
        let ready = connect::look(target, deadlines).await.map_err(|fault| failed(fault.to_string()))?;
        let answered = ready.log_in(target, &self.credential, &ClientId::default(), None, deadlines).await;
        match answered.map_err(|fault| failed(fault.fault.to_string()))? {
            LoginOutcome::Accepted(logged_in) => {
                logged_in.leave().await;
                Ok(())
            }
            LoginOutcome::Refused { code, .. } => Err(failed(format!("refused with {}", code.atom()))),
        }
    }
}
