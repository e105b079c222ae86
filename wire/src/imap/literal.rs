//! Literal announcements (RFC 9051 section 4.3, RFC 7888) at the end of a line.

use memchr::memrchr;

/// Most bytes that an announcement takes, with its CR: `{`, twenty digits, `+`, `}`, CR.
pub const LONGEST_ANNOUNCEMENT: usize = 24;

/// What the end of a line says about the bytes that follow it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Announced {
    /// The line ends the command or response.
    Nothing,
    /// `size` bytes follow; `sync` when the sender waits for a continuation first.
    Literal {
        /// Bytes, at most 2^63 - 1 (RFC 9051 `number64`).
        size: u64,
        /// False for `{n+}`.
        sync: bool,
    },
    /// The line ends in braces that are not a literal; `sync` is false when they end in `+}`.
    Malformed {
        /// False when the sender will not wait for an answer.
        sync: bool,
    },
}

/// Reads the announcement at the end of `line`, which comes without its line end.
pub fn announced(line: &[u8]) -> Announced {
    let Some((b'}', head)) = line.split_last() else { return Announced::Nothing };
    let Some(open) = memrchr(b'{', head) else { return Announced::Nothing };
    let inside = head.get(open + 1..).unwrap_or_default();
    if inside.contains(&b'"') {
        // The first brace belongs to a quoted string, and the last one to an atom: `LOGIN "{" }`.
        return Announced::Nothing;
    }
    let (digits, sync) = match inside.split_last() {
        Some((b'+', digits)) => (digits, false),
        _ => (inside, true),
    };
    match number64(digits) {
        Some(size) => Announced::Literal { size, sync },
        None => Announced::Malformed { sync },
    }
}

fn number64(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || digits.len() > 20 {
        return None;
    }
    let mut value = 0u64;
    for digit in digits {
        if !digit.is_ascii_digit() {
            return None;
        }
        value = value.checked_mul(10)?.checked_add(u64::from(digit - b'0'))?;
    }
    (value <= i64::MAX as u64).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table() {
        let literal = |size, sync| Announced::Literal { size, sync };
        for (line, expected) in [
            ("a LOGIN {3}", literal(3, true)),
            ("a LOGIN {3+}", literal(3, false)),
            ("a APPEND x ~{0}", literal(0, true)),
            ("{007}", literal(7, true)),
            ("{9223372036854775807}", literal(i64::MAX as u64, true)),
            ("{9223372036854775808}", Announced::Malformed { sync: true }),
            ("{18446744073709551616+}", Announced::Malformed { sync: false }),
            ("{-1}", Announced::Malformed { sync: true }),
            ("{}", Announced::Malformed { sync: true }),
            ("{+}", Announced::Malformed { sync: false }),
            ("{1 }", Announced::Malformed { sync: true }),
            ("}", Announced::Nothing),
            ("a NOOP", Announced::Nothing),
            ("a LOGIN \"{3}\"", Announced::Nothing),
            ("a LOGIN \"{\" }", Announced::Nothing),
            ("a LOGIN \"{3\" x}", Announced::Nothing),
            ("", Announced::Nothing),
        ] {
            assert_eq!(announced(line.as_bytes()), expected, "{line}");
        }
    }
}
