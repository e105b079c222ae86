//! Which commands may have literals before login, and how many.

use crate::imap::capability::Privacy;
use crate::imap::command::{Head, LiteralVerdict, Refusal};

/// Most literals in LOGIN, which needs at most two.
const LOGIN_LITERALS: usize = 4;
/// Most literals in ID.
const ID_LITERALS: usize = 64;

pub(super) fn literal_policy(privacy: Privacy, head: Head<'_>) -> LiteralVerdict {
    if head.verb.eq_ignore_ascii_case(b"LOGIN") {
        match privacy {
            // Never ask for a single byte of a password that could not be used.
            Privacy::Clear => LiteralVerdict::Refuse(Refusal::PrivacyRequired),
            Privacy::ClearAllowed | Privacy::Tls => LiteralVerdict::UpTo(LOGIN_LITERALS),
        }
    } else if head.verb.eq_ignore_ascii_case(b"ID") {
        LiteralVerdict::UpTo(ID_LITERALS)
    } else {
        LiteralVerdict::UpTo(0)
    }
}
