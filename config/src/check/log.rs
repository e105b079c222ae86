//! `[log]`.

use super::Faults;
use crate::raw::{Located, Section};
use crate::snapshot::{Log, LogFormat};
use std::time::Duration;

pub(super) fn check(file: &mut Section<'_>, faults: &mut Faults) -> Log {
    let mut log = Log::default();
    let Some(mut section) = file.single("log", faults) else { return log };
    let format = section.word("format", &[("text", LogFormat::Text), ("json", LogFormat::Json)], faults);
    log.format = format.unwrap_or_default();
    let slow: Option<Located<Duration>> = section.optional("slow", faults);
    log.slow = slow.map(|slow| slow.value);
    if let Some(written) = section.given_list("request_fields", faults) {
        let fields = log.request_fields.insert(Vec::new());
        for item in written {
            let Some(text) = item.text(faults) else { continue };
            match Log::REQUEST_FIELDS.into_iter().find(|field| *field == text.value) {
                Some(field) if fields.contains(&field) => {}
                Some(field) => fields.push(field),
                None => faults.push(text.fault(
                    format!("lines of requests have no \"{}\"", text.value.escape_debug()),
                    format!("write some of {}", Log::REQUEST_FIELDS.join(", ")),
                )),
            }
        }
    }
    section.finish(faults);
    log
}
