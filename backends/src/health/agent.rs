//! What an agent says, in the language of HAProxy's agent checks: one line, up to its end, of words that are separated
//! by spaces, tabs, commas or semicolons.

use crate::roster::{AgentHold, AgentWord};

/// Longest line that is read.
pub(super) const LINE_CAP: usize = 1024;

/// Applies an agent's line to `before`. Words without a meaning here (`maxconn:N`, descriptions after `#`) change
/// nothing.
pub(super) fn read(line: &str, before: AgentWord) -> AgentWord {
    let words = line.split('#').next().unwrap_or_default();
    let mut word = before;
    for text in words.split([' ', '\t', ',', ';', '\r', '\n']).filter(|text| !text.is_empty()) {
        match text.to_ascii_lowercase().as_str() {
            "ready" => word.admin = None,
            "drain" => word.admin = Some(AgentHold::Drain),
            "maint" => word.admin = Some(AgentHold::Maint),
            "up" => word.down = false,
            "down" | "fail" | "failed" | "stopped" => word.down = true,
            other => {
                let percent = other.strip_suffix('%').and_then(|number| number.parse::<u32>().ok());
                if let Some(percent) = percent {
                    word.percent = u8::try_from(percent.min(100)).unwrap_or(100);
                }
            }
        }
    }
    word
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn words() {
        let fit = AgentWord::default();
        let drained = AgentWord { admin: Some(AgentHold::Drain), ..fit };
        let down = AgentWord { down: true, ..fit };
        for (line, before, after) in [
            ("up\n", fit, fit),
            ("drain\r\n", fit, drained),
            ("up\n", drained, drained),
            ("ready\n", drained, fit),
            ("maint", fit, AgentWord { admin: Some(AgentHold::Maint), ..fit }),
            ("down # disk, drain", fit, down),
            ("ready", down, down),
            ("UP,75%\n", down, AgentWord { percent: 75, ..fit }),
            ("250% maxconn:30", fit, fit),
            ("0%", fit, AgentWord { percent: 0, ..fit }),
            ("x% -5% %", fit, fit),
            ("", drained, drained),
        ] {
            assert_eq!(read(line, before), after, "{line:?}");
        }
        assert_eq!(AgentWord { percent: 0, ..fit }.hold(), Some("0%"));
        assert_eq!(fit.hold(), None);
    }

    proptest! {
        #[test]
        fn any_line_is_read(line in "\\PC{0,60}") {
            prop_assert!(read(&line, AgentWord::default()).percent <= 100);
        }
    }
}
