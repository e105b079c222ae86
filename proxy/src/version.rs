//! Which program this is.

use std::sync::LazyLock;

/// Its version.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");
/// The commit that it was built from; whoever builds says so in `USHER_COMMIT`.
pub(crate) const COMMIT: &str = match option_env!("USHER_COMMIT") {
    Some(commit) if !commit.is_empty() => commit,
    _ => "unknown",
};

/// What it has been built with of what can be left out.
const FEATURES: &str = if cfg!(feature = "otlp") { "otlp" } else { "none" };

/// All of that in a line.
pub(crate) fn full() -> &'static str {
    static FULL: LazyLock<String> =
        LazyLock::new(|| format!("{VERSION} (commit {COMMIT}, features: {FEATURES})"));
    &FULL
}
