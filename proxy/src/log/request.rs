//! The line of a request. There are many in a second, so it is put together without the detours of other events; it is
//! chosen by `RUST_LOG` and looks as they do.

use super::level::{self, Named};
use super::{batch, text};
use crate::id::Id;
use http::Version;
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};
use std::fmt::Write;
use std::sync::OnceLock;
use usher_config::snapshot::LogFormat;

/// How lines look; nothing is logged before that is known.
pub(super) static FORMAT: OnceLock<LogFormat> = OnceLock::new();

/// What lines have, in this order, where not everything is wanted.
pub(super) static FIELDS: OnceLock<Vec<&'static str>> = OnceLock::new();

/// A request that is over.
#[derive(Serialize)]
pub(crate) struct RequestLine<'r> {
    pub(crate) client: &'r str,
    #[serde(serialize_with = "as_text")]
    pub(crate) session: Id,
    pub(crate) protocol: &'static str,
    pub(crate) user: &'r str,
    pub(crate) identity: &'static str,
    pub(crate) host: &'r str,
    pub(crate) method: &'r str,
    pub(crate) path: &'r str,
    #[serde(serialize_with = "as_debug")]
    pub(crate) version: Version,
    pub(crate) status: u16,
    pub(crate) by: &'static str,
    pub(crate) stage: &'static str,
    pub(crate) cause: &'static str,
    pub(crate) bytes_from_client: u64,
    pub(crate) bytes_from_backend: u64,
    pub(crate) seconds: f64,
}

/// What other events have in JSON beside their values.
#[derive(Serialize)]
struct Event<'r> {
    timestamp: String,
    level: &'static str,
    message: &'static str,
    #[serde(flatten)]
    line: &'r RequestLine<'r>,
}

fn as_text<S: Serializer>(id: &Id, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(id)
}

fn as_debug<S: Serializer>(version: &Version, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{version:?}"))
}

/// Whether `RUST_LOG` takes the lines of requests.
pub(super) static TAKEN: OnceLock<bool> = OnceLock::new();

/// What decides that, when nothing is raised.
pub(super) fn is_taken() -> bool {
    tracing::enabled!(target: "usher::https::record", tracing::Level::INFO)
}

/// Logs a request that is over.
pub(crate) fn request(line: &RequestLine<'_>) {
    let is_usual = TAKEN.get().is_some_and(|taken| *taken);
    let named = || Named {
        user: Some(line.user.to_owned()),
        client: level::address(line.client),
        host: Some(line.host.to_owned()),
        session: Some(line.session.to_string()),
    };
    // What is followed also tells which sessions are the user's.
    if !(level::follows(named) || is_usual) {
        return;
    }
    match FORMAT.get() {
        None => {}
        Some(format) if FIELDS.get().is_some() => {
            batch::write(&chosen(line, *format, FIELDS.get().map_or(&[], Vec::as_slice)))
        }
        Some(LogFormat::Text) => batch::write(in_text(line).as_bytes()),
        Some(LogFormat::Json) => {
            let mut timestamp = String::new();
            text::write_time(&mut timestamp);
            let event = Event { timestamp, level: "INFO", message: "request", line };
            if let Ok(mut json) = serde_json::to_vec(&event) {
                json.push(b'\n');
                batch::write(&json);
            }
        }
    }
}

/// The line with the `fields` alone.
fn chosen(line: &RequestLine<'_>, format: LogFormat, fields: &[&'static str]) -> Vec<u8> {
    let mut values = match serde_json::to_value(line) {
        Ok(Value::Object(values)) => values,
        _ => Map::new(),
    };
    let kept = fields.iter().filter_map(|field| Some(((*field).to_owned(), values.remove(*field)?)));
    let mut out = String::new();
    match format {
        LogFormat::Text => {
            out = text::begin("INFO", "request");
            kept.for_each(|(field, value)| push_value(&mut out, &field, &value));
        }
        LogFormat::Json => {
            text::write_time(&mut out);
            let said = [("timestamp", out.as_str()), ("level", "INFO"), ("message", "request")];
            let said = said.map(|(field, value)| (field.to_owned(), Value::from(value)));
            out = Value::Object(said.into_iter().chain(kept).collect()).to_string();
        }
    }
    out.push('\n');
    out.into_bytes()
}

/// Adds a field as it looks where there are all of them.
fn push_value(out: &mut String, field: &str, value: &Value) {
    let _ = write!(out, " {field}=");
    match value {
        Value::String(text) if field == "client" => text::push_word(out, text),
        Value::String(text) if matches!(field, "session" | "version") => out.push_str(text),
        Value::String(text) => text::push_quoted(out, text),
        other => {
            let _ = write!(out, "{other}");
        }
    }
}

fn in_text(line: &RequestLine<'_>) -> String {
    let mut out = text::begin("INFO", "request");
    out.push_str(" client=");
    text::push_word(&mut out, line.client);
    out.push_str(" session=");
    out.push_str(std::str::from_utf8(&line.session.digits()).unwrap_or_default());
    push(&mut out, " protocol=", line.protocol);
    push(&mut out, " user=", line.user);
    push(&mut out, " identity=", line.identity);
    push(&mut out, " host=", line.host);
    push(&mut out, " method=", line.method);
    push(&mut out, " path=", line.path);
    let _ = write!(out, " version={:?} status={}", line.version, line.status);
    push(&mut out, " by=", line.by);
    push(&mut out, " stage=", line.stage);
    push(&mut out, " cause=", line.cause);
    let (from_client, from_backend) = (line.bytes_from_client, line.bytes_from_backend);
    let _ = write!(out, " bytes_from_client={from_client} bytes_from_backend={from_backend}");
    let _ = writeln!(out, " seconds={}", line.seconds);
    out
}

fn push(out: &mut String, name: &str, value: &str) {
    out.push_str(name);
    text::push_quoted(out, value);
}

#[cfg(test)]
mod tests {
    use super::*;
    use usher_config::snapshot::Log;

    #[test]
    fn a_line_can_have_what_is_wanted_alone() {
        let fields = ["path", "status"];
        let shown = |format| String::from_utf8(chosen(&line(), format, &fields)).unwrap();
        let text = shown(LogFormat::Text);
        assert_eq!(text.split_once("INFO ").unwrap().1, "request path=\"/a\\n b\" status=200\n");
        let json: Value = serde_json::from_str(&shown(LogFormat::Json)).unwrap();
        let keys: Vec<_> = json.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(keys, ["timestamp", "level", "message", "path", "status"]);
        let everything = chosen(&line(), LogFormat::Text, &Log::REQUEST_FIELDS);
        let everything = String::from_utf8(everything).unwrap();
        let tail = |text: &str| text.split_once("INFO ").unwrap().1.to_owned();
        assert_eq!(tail(&everything), tail(&in_text(&line())));
        let all = serde_json::to_value(line()).unwrap();
        assert_eq!(all.as_object().unwrap().keys().collect::<Vec<_>>(), Log::REQUEST_FIELDS);
    }

    fn line() -> RequestLine<'static> {
        RequestLine {
            client: "[2001:db8::1]:5",
            session: "00000000000000ff".parse().unwrap(),
            protocol: "https",
            user: "an\"na",
            identity: "basic",
            host: "",
            method: "GET",
            path: "/a\n b",
            version: Version::HTTP_11,
            status: 200,
            by: "backend",
            stage: "relay",
            cause: "complete",
            bytes_from_client: 0,
            bytes_from_backend: 10,
            seconds: 0.25,
        }
    }

    #[test]
    fn a_line_is_one_line_whatever_is_asked_for() {
        let shown = in_text(&line());
        let (_, shown) = shown.split_once("Z  INFO ").unwrap();
        assert_eq!(
            shown,
            "request client=[2001:db8::1]:5 session=00000000000000ff protocol=\"https\" user=\"an\\\"na\" \
             identity=\"basic\" host=\"\" method=\"GET\" path=\"/a\\n b\" version=HTTP/1.1 status=200 by=\"backend\" \
             stage=\"relay\" cause=\"complete\" bytes_from_client=0 bytes_from_backend=10 seconds=0.25\n"
        );
    }
}
