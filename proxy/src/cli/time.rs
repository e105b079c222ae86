//! Times as arguments.

use std::time::Duration;
use usher_config::shown::duration;

/// One as it is written.
///
/// # Errors
/// What to write instead.
pub(super) fn time(text: &str) -> Result<Duration, &'static str> {
    duration::parse(text).ok_or("write a time such as 30s or 10m")
}
