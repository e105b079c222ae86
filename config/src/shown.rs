//! Values as the configuration writes them, for the effective configuration.

/// Times: `"250ms"`, `"5s"`, `"10m"`, `"12h"`.
pub mod duration {
    use serde::Serializer;
    use std::time::Duration;

    /// Writes the time with the largest unit that loses nothing.
    ///
    /// # Errors
    /// The serialiser's.
    pub fn serialize<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&text(*time))
    }

    /// The time as a text.
    pub fn text(time: Duration) -> String {
        let millis = time.as_millis();
        let units = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];
        let whole = units.into_iter().find(|(_, unit)| millis > 0 && millis.is_multiple_of(*unit));
        whole.map_or_else(|| "0s".to_owned(), |(name, unit)| format!("{}{name}", millis / unit))
    }
}
