//! Lines for people and log watchers: a timestamp, a level, what happened, and values of one word each.

use std::borrow::Cow;
use std::cell::RefCell;
use std::fmt::{self, Debug, Write};
use std::time::UNIX_EPOCH;
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
        let mut values = Values { message: String::new(), others: String::with_capacity(ROOM) };
        event.record(&mut values);
        let mut line = begin(event.metadata().level().as_str(), &printable(&values.message));
        line.extend([&*values.others, "\n"]);
        out.write_str(&line)
    }
}

/// The beginning of a line: when, how grave, and what has happened.
pub(super) fn begin(level: &str, message: &str) -> String {
    let mut line = String::with_capacity(ROOM);
    write_time(&mut line);
    line.extend([if level.len() < 5 { "  " } else { " " }, level, " ", message]);
    line
}

/// Appends a string, always quoted, whatever it contains, so that nobody who searches for one has to know.
pub(super) fn push_quoted(out: &mut String, value: &str) {
    match quoted(value) {
        Cow::Borrowed(plain) => {
            out.push('"');
            out.push_str(plain);
            out.push('"');
        }
        Cow::Owned(quoted) => out.push_str(&quoted),
    }
}

/// Appends what is one word, and quotes it only where it is not.
pub(super) fn push_word(out: &mut String, word: &str) {
    out.push_str(&quoted(word));
}

/// Room for a line as most are.
const ROOM: usize = 512;

thread_local! {
    /// The second that was last written, and how.
    static SECOND: RefCell<(u64, String)> = const { RefCell::new((u64::MAX, String::new())) };
}

/// Writes the time as RFC 3339 has it, in microseconds; the part that lasts for a second is made once in it.
pub(super) fn write_time(line: &mut String) {
    let now = || std::time::SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let mut time = now();
    SECOND.with_borrow_mut(|(second, text)| {
        while *second != time.as_secs() {
            text.clear();
            if SystemTime.format_time(&mut Writer::new(text)).is_err() {
                return;
            }
            text.truncate(text.find('.').unwrap_or(text.len()));
            // It may have begun between the two.
            let before = std::mem::replace(&mut time, now());
            *second = if before.as_secs() == time.as_secs() { time.as_secs() } else { u64::MAX };
        }
        line.push_str(text);
    });
    let _ = write!(line, ".{:06}Z", time.subsec_micros());
}

/// The values of an event.
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
        match field.name() {
            "message" => out.push_str(value),
            _ => push_quoted(out, value),
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
