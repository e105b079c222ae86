//! Lines for people and log watchers: a timestamp, a level, what happened, and values of one word each.

use std::borrow::Cow;
use std::fmt::{self, Debug, Write};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::FmtContext;
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::registry::LookupSpan;
use usher_wire::printable::{printable, quoted};

/// The format of a line.
pub(super) struct Line;

impl<S, N> FormatEvent<S, N> for Line
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut out: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        SystemTime.format_time(&mut out)?;
        write!(out, " {:>5}", event.metadata().level().as_str())?;
        let mut values = Values::default();
        event.record(&mut values);
        writeln!(out, " {}{}", printable(&values.message), values.others)
    }
}

/// The values of an event.
#[derive(Default)]
struct Values {
    message: String,
    others: String,
}

impl Values {
    /// Begins a value, and returns where its text goes. Writing to a string does not fail.
    fn begin(&mut self, field: &Field) -> &mut String {
        if field.name() == "message" {
            return &mut self.message;
        }
        self.others.extend([" ", field.name(), "="]);
        &mut self.others
    }
}

impl Visit for Values {
    fn record_str(&mut self, field: &Field, value: &str) {
        let out = self.begin(field);
        match quoted(value) {
            _ if field.name() == "message" => out.push_str(value),
            // Strings are always quoted, whatever they contain, so that nobody who searches for one has to know.
            Cow::Borrowed(plain) => out.extend(["\"", plain, "\""]),
            Cow::Owned(quoted) => out.push_str(&quoted),
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let out = self.begin(field);
        let from = out.len();
        let _ = write!(out, "{value:?}");
        if field.name() != "message"
            && let Cow::Owned(quoted) = quoted(out.get(from..).unwrap_or_default())
        {
            out.truncate(from);
            out.push_str(&quoted);
        }
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        let _ = write!(self.begin(field), "{value}");
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        let _ = write!(self.begin(field), "{value}");
    }
}
