//! Queries the running usher over its socket.

use super::{ConfigArgument, Exit};
use crate::admin::model::Backend;
use crate::unix_http::{self, AskError};
use clap::Args;
use hyper::body::Bytes;
use hyper::{Method, StatusCode};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::runtime::Runtime;
use usher_wire::printable::printable;

/// Time for an answer: changes wait for the disk, reloads for certificates and sockets.
const PATIENCE: Duration = Duration::from_secs(60);

/// Where the configuration is.
const CONFIG: &str = "/etc/usher/usher.toml";

/// How often to ask again whoever serves.
const AGAIN: usize = 3;

/// How usher is reached.
#[derive(Args)]
pub(super) struct Reach {
    /// The configuration file, which names the socket.
    #[arg(long, value_name = "FILE", default_value = CONFIG, global = true)]
    config: PathBuf,
    /// The admin socket; by default the one that the configuration names.
    #[arg(long, value_name = "PATH", global = true)]
    socket: Option<PathBuf>,
}

/// Why usher did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub(super) enum ApiError {
    #[error("{path}: {source}")]
    File { path: PathBuf, source: std::io::Error },
    #[error("{0}: no [admin] socket and no [server] state_dir; name the socket with --socket")]
    NoSocket(PathBuf),
    #[error("{path}: {source}; is usher running, and may you access its socket?")]
    Unreachable { path: PathBuf, source: std::io::Error },
    #[error("{0}")]
    Failed(String),
    #[error("{0}")]
    WrongUse(String),
    #[error("{0}")]
    Undone(String),
    #[error("{error}")]
    Refused { status: StatusCode, error: String },
}

impl ApiError {
    /// Prints the error and returns the exit code.
    pub(super) fn tell(&self) -> Exit {
        super::complain(&self.to_string());
        match self {
            Self::Refused { .. } | Self::Undone(_) => Exit::Failed,
            Self::WrongUse(_) => Exit::WrongUse,
            Self::File { .. } | Self::NoSocket(_) | Self::Unreachable { .. } | Self::Failed(_) => {
                Exit::Unavailable
            }
        }
    }
}

/// The API.
pub(super) struct Api {
    socket: PathBuf,
    runtime: Runtime,
    /// Time for an answer.
    patience: Duration,
}

impl Reach {
    /// Uses the socket that the configuration names.
    pub(super) fn by(argument: &ConfigArgument) -> Self {
        Self { config: argument.config.clone(), socket: argument.socket.clone() }
    }

    /// As `words` of a command line say, which may be incomplete.
    pub(super) fn of_words(words: &[String]) -> Self {
        let of = |option: &str| {
            let joined = words.iter().find_map(|word| word.strip_prefix(option)?.strip_prefix('='));
            let after = words.iter().position(|word| word == option).and_then(|at| words.get(at + 1));
            joined.or(after.map(String::as_str)).map(PathBuf::from)
        };
        Self { config: of("--config").unwrap_or_else(|| CONFIG.into()), socket: of("--socket") }
    }

    /// Finds the socket; the first request shows whether anybody is serving there.
    pub(super) fn api(&self) -> Result<Api, ApiError> {
        let socket = match &self.socket {
            Some(socket) => socket.clone(),
            None => {
                let path = &self.config;
                let text = std::fs::read_to_string(path)
                    .map_err(|source| ApiError::File { path: path.clone(), source })?;
                // A file with faults still says where the running usher is.
                usher_config::admin_socket(&text).ok_or_else(|| ApiError::NoSocket(path.clone()))?
            }
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| ApiError::Failed(error.to_string()))?;
        Ok(Api { socket, runtime, patience: PATIENCE })
    }

    /// The configuration file.
    pub(super) fn file(&self) -> &Path {
        &self.config
    }

    /// What determines the socket: the option, or the configuration file.
    pub(super) fn shown(&self) -> &Path {
        self.socket.as_deref().unwrap_or(&self.config)
    }
}

/// Escapes `text` so that it is a single component of a path or a query, whatever it contains.
pub(super) fn part(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

/// A query string of the pairs that have a value.
pub(super) fn query(pairs: &[(&str, Option<&str>)]) -> String {
    let given = pairs.iter().filter_map(|(key, value)| value.map(|value| format!("{key}={}", part(value))));
    let joined: Vec<_> = given.collect();
    if joined.is_empty() { String::new() } else { format!("?{}", joined.join("&")) }
}

impl Api {
    /// The same with another time for an answer.
    pub(super) fn waiting(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// Waits for something other than the API.
    pub(super) fn wait_for<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }

    /// Requests something to be shown to people.
    pub(super) fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ApiError> {
        let mut value = self.exact(path)?;
        make_printable(&mut value);
        serde_json::from_value(value).map_err(|error| ApiError::Failed(error.to_string()))
    }

    /// Requests something for programs: text from others is returned as it was written.
    pub(super) fn exact(&self, path: &str) -> Result<Value, ApiError> {
        self.json(Method::GET, path, None::<&()>)
    }

    /// Requests something and sends `body` with it.
    pub(super) fn send<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&impl Serialize>,
    ) -> Result<T, ApiError> {
        self.json(method, path, body)
    }

    /// The same where an answer with the status `also` is of the same kind.
    pub(super) fn send_or<T: DeserializeOwned>(
        &self,
        also: StatusCode,
        method: Method,
        path: &str,
        body: Option<&impl Serialize>,
    ) -> Result<T, ApiError> {
        let (status, bytes) = self.ask(method, path, body)?;
        if status != also {
            accepted(status, &bytes)?;
        }
        serde_json::from_slice(&bytes).map_err(|error| ApiError::Failed(error.to_string()))
    }

    /// Requests something to be shown to people, and sends `body` with it.
    pub(super) fn send_and_show<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&impl Serialize>,
    ) -> Result<T, ApiError> {
        let mut value: Value = self.json(method, path, body)?;
        make_printable(&mut value);
        serde_json::from_value(value).map_err(|error| ApiError::Failed(error.to_string()))
    }

    /// Prints the answer to `body` as JSON.
    pub(super) fn print_sent(&self, path: &str, body: &impl Serialize) -> Result<Exit, ApiError> {
        Ok(print_value(&self.json(Method::POST, path, Some(body))?))
    }

    /// Requests a change whose only answer is its success.
    pub(super) fn change(
        &self,
        method: Method,
        path: &str,
        body: Option<&impl Serialize>,
    ) -> Result<(), ApiError> {
        let (status, bytes) = self.ask(method, path, body)?;
        accepted(status, &bytes)
    }

    /// Requests a page of text.
    pub(super) fn text(&self, path: &str) -> Result<String, ApiError> {
        let (status, bytes) = self.ask(Method::GET, path, None::<&()>)?;
        accepted(status, &bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// The backends called `name`.
    pub(super) fn backends(&self, name: &str) -> Result<Vec<Backend>, ApiError> {
        self.get(&format!("/v1/hosts/{}", part(name)))
    }

    fn json<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&impl Serialize>,
    ) -> Result<T, ApiError> {
        let (status, bytes) = self.ask(method, path, body)?;
        // A refused reload is answered with its result.
        if status != StatusCode::UNPROCESSABLE_ENTITY {
            accepted(status, &bytes)?;
        }
        serde_json::from_slice(&bytes).map_err(|error| ApiError::Failed(error.to_string()))
    }

    fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<&impl Serialize>,
    ) -> Result<(StatusCode, Bytes), ApiError> {
        let failed = |error: &dyn std::fmt::Display| ApiError::Failed(error.to_string());
        let body = body.map(serde_json::to_vec).transpose().map_err(|error| failed(&error))?;
        let request = unix_http::request(method, path, &super::who(), body.unwrap_or_default());
        let request = request.map_err(|error| failed(&error))?;
        let asking = async {
            let mut answered = unix_http::ask(&self.socket, request.clone()).await;
            // Another process has taken over in this moment.
            for _ in 0..AGAIN {
                if !matches!(answered, Ok((StatusCode::MISDIRECTED_REQUEST, _))) {
                    break;
                }
                answered = unix_http::ask(&self.socket, request.clone()).await;
            }
            answered.map_err(|error| match error {
                AskError::Unreachable(source) => ApiError::Unreachable { path: self.socket.clone(), source },
                AskError::Failed(error) => failed(&error),
            })
        };
        let late = |_| ApiError::Failed("usher does not answer".to_owned());
        self.runtime.block_on(async { tokio::time::timeout(self.patience, asking).await.map_err(late)? })
    }
}

fn accepted(status: StatusCode, bytes: &[u8]) -> Result<(), ApiError> {
    if status.is_success() {
        return Ok(());
    }
    let problem = serde_json::from_slice::<crate::admin::Problem>(bytes);
    let error = problem.map_or_else(
        |_| format!("{status}: {}", String::from_utf8_lossy(bytes).trim()),
        |problem| problem.error,
    );
    Err(ApiError::Refused { status, error })
}

/// Escapes whatever others may have written into the strings of `value` and a terminal would obey.
fn make_printable(value: &mut Value) {
    match value {
        Value::String(text) => {
            if let Cow::Owned(shown) = printable(text) {
                *text = shown;
            }
        }
        Value::Array(items) => items.iter_mut().for_each(make_printable),
        Value::Object(members) => members.values_mut().for_each(make_printable),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Prints what the API says at `path` as JSON.
pub(super) fn print_json(api: &Api, path: &str) -> Result<Exit, ApiError> {
    Ok(print_value(&api.exact(path)?))
}

/// Prints `value` as JSON, escaping everything that a terminal would obey.
fn print_value(value: &Value) -> Exit {
    match serde_json::to_string_pretty(value) {
        Ok(text) => {
            let mut shown = String::with_capacity(text.len() + 1);
            for c in text.chars() {
                // Outside strings, JSON contains only line ends and blanks; within them, serde has escaped the rest of
                // ASCII.
                if c == '\n' || printable(c.encode_utf8(&mut [0; 4])).len() == c.len_utf8() {
                    shown.push(c);
                } else {
                    c.encode_utf16(&mut [0; 2])
                        .iter()
                        .for_each(|unit| shown.push_str(&format!("\\u{unit:04x}")));
                }
            }
            super::print(&(shown + "\n"))
        }
        Err(error) => {
            eprintln!("usher: {error}");
            Exit::Failed
        }
    }
}

/// The words of a state, in the colour that people expect.
pub(super) fn painted(state: &str) -> String {
    let code = match state {
        "up" | "idle" => "32",
        "returning" | "draining" | "drained" | "held" => "33",
        "unhealthy" | "stopped" => "31",
        _ => return state.to_owned(),
    };
    if console::colors_enabled() { format!("\x1b[{code}m{state}\x1b[0m") } else { state.to_owned() }
}
