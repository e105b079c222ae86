//! Perdition's popmap: `user:host:port`, or a regular expression in brackets in place of the user.

use super::{Left, Reader, push, skip};

/// Each line is a user.
pub(super) struct Popmap;

impl Reader for Popmap {
    fn take(&mut self, line: Option<&str>, out: &mut Vec<u8>, left: &mut Left) {
        let Some(line) = line.map(str::trim) else { return };
        if line.is_empty() || line.starts_with('#') {
            return skip(out);
        }
        if line.starts_with('(') {
            let shown = line.split(':').next().unwrap_or_default();
            left.note(&format!("regular expressions, such as {}", shown.trim()));
            return skip(out);
        }
        let mut parts = line.split(':');
        let (user, host) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        if parts.next().is_some() {
            left.note("port");
        }
        push(out, user, host);
    }
}
