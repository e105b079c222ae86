//! Raises the limit on open files.

/// Open files that are not connections.
const OTHER_FILES: u64 = 200;

/// A front door needs two descriptors per session; the soft limit is often far below what is allowed.
pub(super) fn raise_limit(connections: u32) {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    if setrlimit(Resource::Nofile, raised).is_err() {
        tracing::warn!(limit = ?limit.current, "the limit on open files could not be raised");
    }
    // One for the client, one for the host, and some for everything else.
    let needed = u64::from(connections) * 2 + OTHER_FILES;
    if limit.maximum.is_some_and(|most| most < needed) {
        tracing::warn!(
            limit = ?limit.maximum,
            needed,
            connections,
            "the limit on open files is too low for [limits] connections; connections beyond it will be shed"
        );
    }
}
