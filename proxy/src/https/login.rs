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
        let until = self.begun + at.active.snapshot.server.login_wait;
        let attempt = match self.accepted(login) {
            // Most requests are like the one before on their connection, whose credential is known to be right.
            Some(by) if self.is_known_by(by) => return Ok(()),
            // What lets in everybody says nothing of a password, which may yet be a guess elsewhere.
            Some(_) => guessing.admit_again(self.who(login), until).await,
            None => guessing.admit(self.who(login), until).await,
        };
        self.attempt = Some(attempt.map_err(Refusal::held_off)?);
        Ok(())
    }

    /// Its login is on its way to whoever judges it.
    pub(crate) fn expose(&self) {
        self.attempt.iter().for_each(|attempt| attempt.expose());
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
        let is_refused = is_refused || login.is_twofold && status == StatusCode::UNAUTHORIZED;
        let refused = is_refused.then_some(Verdict::Refused);
        let is_accepted = is_accepted && !login.is_twofold && self.method() != Method::OPTIONS;
        refused.or(is_accepted.then_some(Verdict::Accepted))
    }

    /// Notes what the host called `host` has said of its login by answering with `status`.
    pub(crate) async fn judged(&mut self, verdict: Option<Verdict>, status: StatusCode, host: &str) {
        let guard = || self.client.server.guessing.guard([host.as_bytes(), &self.target.to_le_bytes()]);
        if status == StatusCode::UNAUTHORIZED {
            self.client.server.guessing.note_guard(guard());
        }
        let Some(login) = &self.login else { return };
        match verdict {
            Some(Verdict::Accepted) => {
                // Of a repeat without one, nothing is news.
                let Some(attempt) = &self.attempt else { return };
                let guard = guard();
                if let Some(claim) = self.claim(login)
                    && self.accepted(login).is_none_or(|by| !self.is_known_by(by))
                {
                    self.client.credential.note_accepted(claim, LetIn { target: self.target, guard });
                }
                // Some things are anybody's, and say nothing of a password.
                attempt.succeeded(Some(guard));
            }
            Some(Verdict::Refused) => {
                self.client.server.guessing.note_guard(guard());
                self.is_refused_login = true;
                self.login_failed().await;
            }
            None => self.unjudged(),
        }
    }

    /// Counts its login as failed.
    pub(crate) async fn login_failed(&mut self) {
        let Some(login) = &self.login else { return };
        let claim = self.claim(login);
        claim.into_iter().for_each(|claim| self.client.credential.note_refused(claim));
        // Many requests may have the token that has just expired.
        let was_counted = login.is_token && claim.is_some_and(|claim| !self.is_news(claim));
        let who = self.who(login);
        let attempt = self.attempt.take().unwrap_or_else(|| self.client.server.guessing.unheld(who));
        match was_counted {
            true => attempt.rest(),
            false => attempt.failed().await,
        }
    }

    /// Nobody has judged its login, or it has been counted.
    pub(crate) fn unjudged(&self) {
        self.attempt.iter().for_each(|attempt| attempt.rest());
    }

    /// It ends. If its login is still to be judged, the client has left, and what it may have learnt by that is counted.
    pub(crate) fn left(&mut self) {
        let Some(login) = &self.login else { return };
        if !self.attempt.as_ref().is_some_and(|attempt| attempt.is_exposed()) {
            return;
        }
        match self.claim(login).is_none_or(|claim| self.is_news(claim)) {
            true => self.is_refused_login = true,
            false => self.unjudged(),
        }
    }

    fn is_news(&self, claim: Claim<'_>) -> bool {
        self.client.server.web.credentials.is_news(claim)
    }

    /// What has let its credential in before.
    fn accepted(&self, login: &HttpLogin) -> Option<LetIn> {
        self.client.credential.accepted(self.claim(login)?)
    }

    /// What it claims, unless it is a form.
    fn claim<'r>(&'r self, login: &'r HttpLogin) -> Option<Claim<'r>> {
        Some(Claim { digest: login.digest?, key: self.key(), users: &login.users })
    }

    /// Whether who was let in so needs no other proof: the same is asked for, or it lets in only those who have proven who
    /// they are.
    fn is_known_by(&self, by: LetIn) -> bool {
        by.target == self.target || self.client.server.guessing.is_proof(by.guard)
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
