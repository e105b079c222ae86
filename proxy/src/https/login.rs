//! Logins by HTTP as failures are counted: requests with a password or a token, and login forms that are posted.

use super::message::credential::{Claim, LetIn};
use super::message::http_login::HttpLogin;
use super::message::refusal::Refusal;
use super::record::RequestRecord;
use crate::active::ListenerContext;
use crate::guessing::Who;
use http::header::LOCATION;
use http::{HeaderMap, Method, Response, StatusCode};
use usher_config::https::Identity;
use usher_config::snapshot::Protocol;
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

/// What a response says of a login.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Accepted,
    Refused,
}

impl RequestRecord {
    /// Lets a request that is a login wait as long as it has deserved.
    ///
    /// # Errors
    /// If it must not be tried.
    pub(crate) async fn admit(&mut self, at: &ListenerContext) -> Result<(), Refusal> {
        let Some(login) = &self.login else { return Ok(()) };
        let guessing = &self.client.server.guessing;
        let key = self.key();
        guessing.refuse_user(key, &login.users).map_err(Refusal::held_off)?;
        // Most requests are like the one before on their connection, whose credential is known to be right.
        if let Some(by) = self.accepted(login) {
            // What lets in everybody says nothing of a password, which may yet be a guess elsewhere.
            self.is_unproven = !self.is_known_by(by, digest(self.path()));
            return Ok(());
        }
        let who = self.who(login);
        let until = self.begun + at.active.snapshot.server.login_wait;
        let attempt = guessing.admit(who, until).await.map_err(Refusal::held_off)?;
        attempt.expose();
        self.attempt = Some(attempt);
        Ok(())
    }

    /// What `response` says of the login that its request was; `None`: it was none, or that is not said.
    pub(crate) fn verdict(&self, at: &ListenerContext, response: &Response<()>) -> Option<Verdict> {
        let login = self.login.as_ref()?;
        let status = response.status();
        let (is_refused, is_accepted) = match login.form {
            None => (status == StatusCode::UNAUTHORIZED, status.is_success()),
            Some(place) => {
                let form = at.active.snapshot.https.identities.get(place)?;
                let Identity::Form { path, refused_with, .. } = form else { return None };
                let is_refused =
                    refused_with.contains(&status.as_u16()) || leads_to(response.headers(), path);
                (is_refused, status.is_success() || status.is_redirection())
            }
        };
        let refused = is_refused.then_some(Verdict::Refused);
        refused.or((is_accepted && self.method() != Method::OPTIONS).then_some(Verdict::Accepted))
    }

    /// Notes what the host called `host` has said of its login by answering with `status`.
    pub(crate) async fn judged(&mut self, verdict: Option<Verdict>, status: StatusCode, host: &str) {
        let path = digest(self.path());
        let guard = || xxh3_64_with_seed(host.as_bytes(), path);
        if status == StatusCode::UNAUTHORIZED {
            self.client.server.guessing.note_guard(guard());
        }
        let Some(login) = &self.login else { return };
        let guard = guard();
        match verdict {
            Some(Verdict::Accepted) => {
                if let Some(claim) = self.claim(login)
                    && self.accepted(login).is_none_or(|by| !self.is_known_by(by, path))
                {
                    self.client.credential.note_accepted(claim, LetIn { path, guard });
                }
                // Some things are anybody's, and say nothing of a password.
                self.attempt.iter().for_each(|attempt| attempt.succeeded(Some(guard)));
                self.is_unproven = false;
            }
            Some(Verdict::Refused) => {
                self.client.server.guessing.note_guard(guard);
                self.is_refused_login = true;
                self.login_failed().await;
            }
            None => self.unjudged(),
        }
    }

    /// Counts its login as failed.
    pub(crate) async fn login_failed(&mut self) {
        let Some(login) = &self.login else { return };
        if let Some(claim) = self.claim(login) {
            self.client.credential.note_refused(claim);
        }
        let who = self.who(login);
        let attempt = self.attempt.take().unwrap_or_else(|| self.client.server.guessing.unheld(who));
        self.is_unproven = false;
        attempt.failed().await;
    }

    /// Nobody has judged its login, or it has been counted.
    pub(crate) fn unjudged(&mut self) {
        self.attempt.iter().for_each(|attempt| attempt.rest());
        self.is_unproven = false;
    }

    /// It ends. If its login is not judged yet, the client has left, and what it may have learnt by that is counted.
    pub(crate) fn left(&mut self) {
        let Some(login) = &self.login else { return };
        let is_exposed = self.attempt.as_ref().is_some_and(|attempt| attempt.is_exposed());
        if !is_exposed && !self.is_unproven {
            return;
        }
        if self.claim(login).is_some_and(|claim| !self.client.server.web.credentials.note_left(claim)) {
            self.unjudged();
        } else if self.attempt.is_none() {
            let attempt = self.client.server.guessing.unheld(self.who(login));
            attempt.expose();
            self.attempt = Some(attempt);
        }
    }

    /// What has let its credential in before.
    fn accepted(&self, login: &HttpLogin) -> Option<LetIn> {
        self.client.credential.accepted(self.claim(login)?)
    }

    /// What it claims, unless it is a form.
    fn claim<'r>(&'r self, login: &'r HttpLogin) -> Option<Claim<'r>> {
        Some(Claim { digest: login.digest?, key: self.key(), users: &login.users })
    }

    /// Whether who was let in so needs no proof at `path`: it is the same, or lets in only those who have proven who they
    /// are.
    fn is_known_by(&self, by: LetIn, path: u64) -> bool {
        by.path == path || self.client.server.guessing.is_proof(by.guard)
    }

    fn who(&self, login: &HttpLogin) -> Who {
        let (key, users) = (self.key().to_owned(), login.users.to_vec());
        let client = self.client.ends.client;
        Who { protocol: Protocol::Https, client, key, users, has_token: login.is_token }
    }

    /// The key of the archive that it is for; empty: of none.
    fn key(&self) -> &str {
        self.session.as_ref().map_or("", |session| &session.about.user)
    }
}

/// That of a path.
fn digest(path: &str) -> u64 {
    xxh3_64(path.as_bytes())
}

/// Whether a response redirects to `path`, where the request itself went.
fn leads_to(headers: &HeaderMap, path: &str) -> bool {
    let Some(to) = headers.get(LOCATION).and_then(|to| to.to_str().ok()) else { return false };
    let to = to.split(['?', '#']).next().unwrap_or_default();
    let after_authority =
        |rest: &str| rest.find('/').map_or_else(|| "/".to_owned(), |at| rest[at..].to_owned());
    let target = match to.strip_prefix("//").or_else(|| to.split_once("://").map(|(_, rest)| rest)) {
        Some(rest) => after_authority(rest),
        // The same document.
        None if to.is_empty() => path.to_owned(),
        None if to.starts_with('/') => to.to_owned(),
        None => {
            let directory = path.rfind('/').map_or("/", |at| &path[..=at]);
            format!("{directory}{}", to.trim_start_matches("./"))
        }
    };
    let trimmed = |path: &str| path.trim_end_matches('/').to_ascii_lowercase();
    trimmed(&target) == trimmed(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn a_redirect_back_to_the_form() {
        for (to, leads) in [
            ("/login", true),
            ("/login?error=1", true),
            ("?error", true),
            ("login", true),
            ("./login#again", true),
            ("https://mail.test/login", true),
            ("//mail.test/login/", true),
            ("/Login", true),
            ("/inbox", false),
            ("https://mail.test", false),
            ("login/two-factors", false),
        ] {
            let headers = HeaderMap::from_iter([(LOCATION, HeaderValue::from_str(to).unwrap())]);
            assert_eq!(leads_to(&headers, "/login"), leads, "{to}");
        }
        assert!(!leads_to(&HeaderMap::new(), "/login"));
    }
}
