//! Logging to standard error, as text or as JSON; one line per event, whatever a client sends.

mod batch;
mod level;
mod refused;
mod request;
mod slow;
mod text;

pub(crate) use level::{Whose, lower, raise, raised};
pub(crate) use refused::login_refused;
pub(crate) use request::{RequestLine, request};
pub(crate) use slow::{Timed, slow};

use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, fmt};
use usher_config::snapshot::{Log, LogFormat};

/// The log target of events that are always recorded: who changed what.
pub(crate) const AUDIT: &str = "usher_audit";

/// Sets up logging for the process. `RUST_LOG` chooses what is logged; by default everything from `info` on.
pub(crate) fn init(log: &Log) {
    let format = log.format;
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    // Changes are recorded however little else is logged.
    let filter = match format!("{AUDIT}=info").parse() {
        Ok(directive) => filter.add_directive(directive),
        Err(_) => filter,
    };
    batch::start();
    let _ = request::FORMAT.set(format);
    if let Some(fields) = &log.request_fields {
        let _ = request::FIELDS.set(fields.clone());
    }
    if let Some(slow) = log.slow {
        let _ = slow::SLOW.set(slow);
    }
    let lines = fmt::layer().with_writer(|| batch::Writer).with_target(false);
    let chosen = level::Chosen(filter);
    let subscriber = tracing_subscriber::registry();
    match format {
        LogFormat::Text => {
            subscriber.with(lines.with_ansi(false).event_format(text::Line).with_filter(chosen)).init();
        }
        LogFormat::Json => subscriber.with(lines.json().flatten_event(true).with_filter(chosen)).init(),
    }
    let _ = request::TAKEN.set(request::is_taken());
}

/// Returns when everything that was logged before has been written.
pub(crate) fn flush() {
    batch::flush();
}
