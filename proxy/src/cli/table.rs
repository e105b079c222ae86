//! Tables for people to read, with columns as wide as they need to be.

use console::{Alignment, measure_text_width, pad_str};

/// A table with a headline.
pub(super) struct Table(Vec<Vec<String>>);

impl Table {
    pub(super) fn new(headline: &[&str]) -> Self {
        Self(vec![headline.iter().map(|head| head.to_uppercase()).collect()])
    }

    pub(super) fn row(&mut self, cells: Vec<String>) {
        self.0.push(cells);
    }
}

impl std::fmt::Display for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let columns = self.0.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column: usize| {
            let cells = self.0.iter().filter_map(|row| row.get(column));
            cells.map(|cell| measure_text_width(cell)).max().unwrap_or(0)
        };
        let widths: Vec<_> = (0..columns).map(width).collect();
        for row in &self.0 {
            let mut line = String::new();
            for (cell, width) in row.iter().zip(&widths) {
                line.push_str(&pad_str(cell, *width, Alignment::Left, None));
                line.push_str("  ");
            }
            writeln!(f, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

/// A number of seconds as people would write it.
pub(super) fn span(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        3600..86400 => format!("{}h{:02}m", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{}d{:02}h", seconds / 86400, seconds % 86400 / 3600),
    }
}

/// A moment in RFC 3339 format, in UTC.
pub(super) fn date(seconds: i64) -> String {
    match x509_parser::time::ASN1Time::from_timestamp(seconds) {
        Ok(time) => {
            let time = time.to_datetime();
            let (date, clock) = (time.date(), time.time());
            format!("{date}T{:02}:{:02}:{:02}Z", clock.hour(), clock.minute(), clock.second())
        }
        Err(_) => seconds.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let mut table = Table::new(&["host", "state"]);
        table.row(vec!["ih1.example.com".into(), "\x1b[32mup\x1b[0m".into()]);
        table.row(vec!["x".into(), "stopped".into()]);
        let text = table.to_string();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[0], "HOST             STATE");
        assert_eq!(lines[2], "x                stopped");
    }

    #[test]
    fn spans() {
        assert_eq!([span(5), span(65), span(3700), span(90_000)], ["5s", "1m05s", "1h01m", "1d01h"]);
    }
}
