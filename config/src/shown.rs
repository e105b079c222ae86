//! Values as the configuration file writes them, for display of the effective configuration.

use serde::Serializer;
use usher_wire::imap::sasl::Mechanism;

/// Serialises a duration that may be missing.
///
/// # Errors
/// The serialiser's.
pub fn some_duration<S: Serializer>(
    time: &Option<std::time::Duration>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match time {
        Some(time) => duration::serialize(time, serializer),
        None => serializer.serialize_none(),
    }
}

/// Serialises mechanisms by the words of the file.
///
/// # Errors
/// The serialiser's.
pub fn mechanisms<S: Serializer>(mechanisms: &[Mechanism], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(mechanisms.iter().map(|mechanism| mechanism.rule_name()))
}

/// Serialises mechanisms that may be missing.
///
/// # Errors
/// The serialiser's.
pub fn some_mechanisms<S: Serializer>(
    mechanisms: &Option<Vec<Mechanism>>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match mechanisms {
        Some(listed) => self::mechanisms(listed, serializer),
        None => serializer.serialize_none(),
    }
}

/// Times: `"250ms"`, `"5s"`, `"10m"`, `"12h"`.
pub mod duration {
    use serde::Serializer;
    use std::time::Duration;

    /// Writes the duration in the largest unit that represents it exactly.
    ///
    /// # Errors
    /// The serialiser's.
    pub fn serialize<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&text(*time))
    }

    /// Reads a time; from one millisecond to a year.
    pub fn parse(text: &str) -> Option<Duration> {
        let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit())?);
        let number: u64 = number.parse().ok()?;
        let millis = match unit {
            "ms" => 1,
            "s" => 1000,
            "m" => 60 * 1000,
            "h" => 60 * 60 * 1000,
            "d" => 24 * 60 * 60 * 1000,
            _ => return None,
        };
        let millis = number.checked_mul(millis)?;
        // Deadlines of more than a year make no sense here, and adding them up could overflow.
        (1..=365 * 24 * 60 * 60 * 1000).contains(&millis).then(|| Duration::from_millis(millis))
    }

    /// The time as a text.
    pub fn text(time: Duration) -> String {
        let millis = time.as_millis();
        let units = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];
        let whole = units.into_iter().find(|(_, unit)| millis > 0 && millis.is_multiple_of(*unit));
        whole.map_or_else(|| "0s".to_owned(), |(name, unit)| format!("{}{name}", millis / unit))
    }
}
