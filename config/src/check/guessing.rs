//! `[guessing]`.

use super::{Faults, networks};
use crate::raw::{Count, Located, Section, Wait};
use crate::snapshot::Guessing;
use std::time::Duration;

/// Most failures that a record counts.
const MOST: u32 = 5000;

pub(super) fn check(file: &mut Section<'_>, faults: &mut Faults) -> Guessing {
    let mut guessing = Guessing::default();
    let Some(mut section) = file.single("guessing", faults) else { return guessing };
    for (key, time) in [
        ("delay", &mut guessing.delay),
        ("max_delay", &mut guessing.max_delay),
        ("known_for", &mut guessing.known_for),
    ] {
        if let Some(written) = section.optional::<Wait>(key, faults) {
            *time = written.value.0;
        }
    }
    for (key, time) in [("ban_window", &mut guessing.ban_window), ("ban_for", &mut guessing.ban_for)] {
        let Some(written): Option<Located<Duration>> = section.optional(key, faults) else { continue };
        if written.value < Duration::from_secs(1) {
            faults.push(written.fault(format!("`{key}` is too short"), "write \"1s\" or more"));
        }
        *time = written.value;
    }
    for (key, count) in
        [("ban_after", &mut guessing.ban_after), ("ban_user_after", &mut guessing.ban_user_after)]
    {
        let Some(written): Option<Located<Count>> = section.optional(key, faults) else { continue };
        if written.value.0 > MOST {
            faults.push(written.fault(format!("`{key}` is too large"), "write at most 5000, or 0 for never"));
        }
        *count = written.value.0;
    }
    if let Some(written) = section.optional::<u32>("sources", faults) {
        if !(1000..=100_000_000).contains(&written.value) {
            faults.push(written.fault("`sources` is out of range", "write a number from 1000 to 100000000"));
        }
        guessing.sources = written.value;
    }
    for (key, limit) in [
        ("sessions_per_user", &mut guessing.sessions_per_user),
        ("sessions_per_address", &mut guessing.sessions_per_address),
        ("logins_per_minute_per_user", &mut guessing.logins_per_minute_per_user),
        ("logins_per_minute_per_address", &mut guessing.logins_per_minute_per_address),
    ] {
        let Some(written): Option<Located<u32>> = section.optional(key, faults) else { continue };
        if !(1..=30_000).contains(&written.value) {
            let instead = "write a number from 1 to 30000, or remove the key for no limit";
            faults.push(written.fault(format!("`{key}` is out of range"), instead));
        }
        *limit = Some(written.value);
    }
    guessing.never = networks(&section.list("never", faults), faults);
    guessing.always = networks(&section.list("always", faults), faults);
    guessing.key_file = section.optional("key_file", faults).map(|file: Located<String>| file.value.into());
    section.finish(faults);
    guessing
}
