//! The processes that have been succeeded and still have sessions. Each listens at a socket of its own in the state
//! directory, where whoever serves now can ask it.

use crate::unix_http::{self, AskError};
use hyper::Method;
use hyper::body::Bytes;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Time for an answer: ending the sessions of a key takes a while.
const PATIENCE: Duration = Duration::from_secs(30);
const PREFIX: &str = "former-";
const SUFFIX: &str = ".sock";

/// Where a process of this number can be asked once it has been succeeded.
pub(crate) fn private_socket(state_dir: &Path, process: u32) -> PathBuf {
    state_dir.join(format!("{PREFIX}{process}{SUFFIX}"))
}

/// Asks them.
pub(crate) struct Formers {
    state_dir: PathBuf,
}

/// An answer of one.
pub(crate) struct Answer<T> {
    pub(crate) process: u32,
    pub(crate) said: T,
}

impl Formers {
    pub(crate) fn new(state_dir: &Path) -> Self {
        Self { state_dir: state_dir.to_owned() }
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.all().len()
    }

    /// Their numbers and sockets.
    fn all(&self) -> Vec<(u32, PathBuf)> {
        let Ok(entries) = std::fs::read_dir(&self.state_dir) else { return Vec::new() };
        let own = std::process::id();
        let all = entries.filter_map(|entry| {
            let path = entry.ok()?.path();
            let name = path.file_name()?.to_str()?;
            let process = name.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)?.parse().ok()?;
            (process != own).then_some((process, path))
        });
        all.collect()
    }

    /// Asks each of them, at the same time; `operator` wants it. Those that are gone by then have nothing to say.
    pub(crate) async fn ask<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: &Bytes,
        operator: &str,
    ) -> Vec<Answer<T>> {
        let asking = self.all().into_iter().map(|(process, socket)| {
            let request = unix_http::request(method.clone(), path, operator, body.clone());
            async move {
                let answering = tokio::time::timeout(PATIENCE, unix_http::ask(&socket, request.ok()?));
                let answered = answering.await.map_err(|_| "no answer in time".to_owned());
                let answered = answered.and_then(|answered| match answered {
                    Err(AskError::Unreachable(error)) if error.kind() == ErrorKind::ConnectionRefused => {
                        // Killed: nobody else listens there again.
                        let _ = std::fs::remove_file(&socket);
                        Ok(None)
                    }
                    Err(_) if !socket.exists() => Ok(None),
                    Err(error) => Err(error.to_string()),
                    Ok((status, said)) if status.is_success() => Ok(Some(said)),
                    Ok((status, _)) => Err(status.to_string()),
                });
                let said = answered.unwrap_or_else(|error| {
                    tracing::warn!(process, path, error, "a former process does not do what it is asked");
                    None
                })?;
                let said = if said.is_empty() { &b"null"[..] } else { &said };
                Some(Answer { process, said: serde_json::from_slice(said).ok()? })
            }
        });
        futures_util::future::join_all(asking).await.into_iter().flatten().collect()
    }

    /// Asks each of them, and all must do it; `operator` wants it.
    ///
    /// # Errors
    /// The number of one that has not.
    pub(crate) async fn ask_all<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        operator: &str,
    ) -> Result<Vec<T>, u32> {
        let before = self.all();
        let answers = self.ask::<T>(method, path, &Bytes::new(), operator).await;
        let still_there: Vec<u32> = self.all().into_iter().map(|(process, _)| process).collect();
        let has_answered = |process: u32| answers.iter().any(|answer| answer.process == process);
        let missing = before.into_iter().map(|(process, _)| process);
        match missing.into_iter().find(|process| !has_answered(*process) && still_there.contains(process)) {
            Some(process) => Err(process),
            None => Ok(answers.into_iter().map(|answer| answer.said).collect()),
        }
    }

    /// Lets each read the configuration again.
    pub(crate) async fn reload(&self) {
        let order = Bytes::from_static(br#"{"from":null,"force":true}"#);
        let _: Vec<Answer<Value>> = self.ask(Method::POST, "/v1/reload", &order, "").await;
    }

    /// Lets each look at what is on the disk now.
    pub(crate) async fn look(&self) {
        let _: Vec<Answer<()>> = self.ask(Method::POST, "/v1/look", &Bytes::from_static(b"{}"), "").await;
    }
}
