//! Lines of a user, a tab and a host.

use super::{Left, Reader, push, skip};

/// Each line is a user.
pub(super) struct Pairs;

impl Reader for Pairs {
    fn take(&mut self, line: Option<&str>, out: &mut Vec<u8>, _: &mut Left) {
        match line.and_then(|line| line.split_once('\t')) {
            Some((user, host)) => push(out, user, host),
            None => skip(out),
        }
    }
}
