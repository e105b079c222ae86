//! `[tracing]`.

use super::Faults;
use crate::raw::{Count, Located, Section};
use crate::snapshot::Tracing;

pub(super) fn check(file: &mut Section<'_>, faults: &mut Faults) -> Option<Tracing> {
    const EXAMPLE: &str = "\"http://127.0.0.1:4318\"";
    let mut section = file.single("tracing", faults)?;
    let otlp: Option<Located<String>> = section.required("otlp", EXAMPLE, faults);
    let percent: Option<Located<Count>> = section.optional("percent", faults);
    section.finish(faults);
    let otlp = otlp?;
    let rest = otlp.value.strip_prefix("http://").or_else(|| otlp.value.strip_prefix("https://"));
    if rest.is_none_or(|rest| rest.is_empty() || rest.contains(char::is_whitespace)) {
        faults.push(otlp.fault("`otlp` is not an address of HTTP", format!("write `otlp = {EXAMPLE}`")));
    }
    if let Some(percent) = percent.as_ref().filter(|percent| percent.value.0 > 100) {
        faults.push(percent.fault("`percent` is above 100", "write a number from 0 to 100"));
    }
    Some(Tracing { otlp: otlp.value, percent: percent.map_or(100, |percent| percent.value.0) })
}
