//! Whether a host has a user.

use crate::connect::{self, Deadlines, LoginOutcome, OnBehalf};
use crate::roster::{Host, Service};
use bytes::Bytes;
use http_body_util::Empty;
use hyper_util::rt::TokioIo;
use tokio::time::{Instant, timeout_at};
use usher_config::snapshot::HttpVersion;
use usher_wire::imap::id::ClientId;
use usher_wire::imap::reply::Code;
use usher_wire::imap::sasl::Credential;

/// What a host says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Has {
    /// It has the user.
    Yes,
    /// It does not.
    No,
    /// It cannot be asked now, or gives no clear answer; for operators.
    Unsure(String),
}

/// Asks by a login with `credential`. `on_behalf`: the client whose login it is; `None`: it is usher's own.
pub async fn ask_by_login(
    host: &Host,
    credential: &Credential,
    on_behalf: Option<OnBehalf<'_>>,
    observer: &std::sync::Arc<dyn crate::Observer>,
    deadlines: &Deadlines,
) -> Has {
    let Some(target) = host.services.mail(Service::Imap) else {
        return Has::Unsure("it has no `imap`".to_owned());
    };
    let opened = match on_behalf {
        Some(on_behalf) => connect::open(target, on_behalf, deadlines, observer).await,
        None => connect::look(target, deadlines).await,
    };
    let ready = match opened {
        Ok(ready) => ready,
        Err(fault) => return Has::Unsure(fault.to_string()),
    };
    match ready.log_in(target, credential, &ClientId::default(), on_behalf, deadlines).await {
        Ok(LoginOutcome::Accepted(logged_in)) => {
            logged_in.leave().await;
            Has::Yes
        }
        Ok(LoginOutcome::Refused { code: Code::AuthenticationFailed, .. }) => Has::No,
        // So Dovecot refuses a master user for somebody whom it does not have.
        Ok(LoginOutcome::Refused { code: Code::AuthorizationFailed, .. }) if on_behalf.is_none() => Has::No,
        // The name is right, or the login is not judged by it.
        Ok(LoginOutcome::Refused { code, .. }) => Has::Unsure(format!("refused with {}", code.atom())),
        Err(fault) => Has::Unsure(fault.fault.to_string()),
    }
}

/// Asks by a request for `path`: 2xx is yes, 404 and 410 are no.
pub async fn ask_by_http(host: &Host, path: &str, deadlines: &Deadlines) -> Has {
    let Some(target) = host.services.http() else {
        return Has::Unsure("it has no `http`".to_owned());
    };
    let until = Instant::now() + deadlines.connect;
    let asking = async {
        let stream = connect::open_http(target, HttpVersion::One, None, deadlines)
            .await
            .map_err(|fault| fault.to_string())?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| error.to_string())?;
        let request = hyper::Request::get(path)
            .header("host", &target.name)
            .header("connection", "close")
            .body(Empty::<Bytes>::new())
            .map_err(|error| error.to_string())?;
        let talk = sender.send_request(request);
        tokio::pin!(talk);
        let response = tokio::select! {
            biased;
            done = &mut talk => done,
            _ = connection => talk.await,
        };
        response.map(|response| response.status().as_u16()).map_err(|error| error.to_string())
    };
    match timeout_at(until, asking).await {
        Ok(Ok(200..300)) => Has::Yes,
        Ok(Ok(404 | 410)) => Has::No,
        Ok(Ok(status)) => Has::Unsure(format!("status {status}")),
        Ok(Err(why)) => Has::Unsure(why),
        Err(_) => Has::Unsure("no answer in time".to_owned()),
    }
}
