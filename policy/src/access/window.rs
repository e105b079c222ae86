//! Times of the week.

use jiff::civil::Weekday;
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};
use std::fmt;

const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
/// Minutes of a day.
const DAY: u16 = 24 * 60;

/// A time of the day on some days of the week, in a time zone: `mon-fri 08:00-18:00 Europe/Berlin`.
#[derive(Debug, Clone, PartialEq)]
pub struct Window {
    /// One bit a day, Monday first.
    days: u8,
    /// In minutes since midnight; before `until`, or after it if the window ends on the next day.
    from: u16,
    until: u16,
    zone: TimeZone,
}

impl Window {
    /// Reads days, hours and a zone, in this order; each may be left out: every day, all day, UTC.
    ///
    /// # Errors
    /// What is wrong, for people.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut window = Self { days: 0x7f, from: 0, until: DAY, zone: TimeZone::UTC };
        let mut words = text.split_whitespace().peekable();
        if words.peek().is_none() {
            return Err("it is empty".to_owned());
        }
        if let Some(days) = words.peek().copied().and_then(days) {
            window.days = days;
            words.next();
        }
        if let Some(word) = words.next_if(|word| word.contains(':')) {
            let hours = word.split_once('-').and_then(|(from, until)| Some((minute(from)?, minute(until)?)));
            match hours {
                Some((from, until)) if from != until && from < DAY => {
                    (window.from, window.until) = (from, until)
                }
                _ => return Err(format!("{word:?} is not a time of the day")),
            }
        }
        if let Some(zone) = words.next() {
            window.zone = TimeZone::get(zone)
                .map_err(|_| format!("{zone:?} is neither a list of days, nor hours, nor a time zone"))?;
        }
        match words.next() {
            Some(word) => Err(format!("{word:?} is one word too many")),
            None => Ok(window),
        }
    }

    /// Whether `now`, in seconds since 1970, is in it.
    pub fn contains(&self, now: i64) -> bool {
        let Ok(now) = Timestamp::from_second(now) else { return false };
        let local = Zoned::new(now, self.zone.clone());
        let minute = local.hour() as u16 * 60 + local.minute() as u16;
        let on = |day: Weekday| self.days & 1 << day.to_monday_zero_offset() != 0;
        let (today, yesterday) = (local.weekday(), local.weekday().previous());
        if self.from < self.until {
            return on(today) && (self.from..self.until).contains(&minute);
        }
        // It ends on the day after the one that it is named by.
        on(today) && minute >= self.from || on(yesterday) && minute < self.until
    }
}

/// `mon-fri`, `sat,sun`, or both forms mixed.
fn days(text: &str) -> Option<u8> {
    let day = |name: &str| DAYS.iter().position(|day| name.eq_ignore_ascii_case(day));
    let mut all = 0;
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (day(first)?, day(last)?);
        // From Friday to Monday goes over the weekend.
        let count = (last + 7 - first) % 7;
        (0..=count).for_each(|more| all |= 1 << ((first + more) % 7));
    }
    Some(all)
}

/// `08:30` in minutes; 24:00 is the end of the day.
fn minute(text: &str) -> Option<u16> {
    let (hour, minute) = text.split_once(':')?;
    let number = |text: &str| match text.len() {
        1 | 2 if text.bytes().all(|b| b.is_ascii_digit()) => text.parse::<u16>().ok(),
        _ => None,
    };
    let (hour, minute) = (number(hour)?, number(minute)?);
    (minute < 60 && hour * 60 + minute <= DAY).then_some(hour * 60 + minute)
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let on: Vec<_> = (0..7).filter(|day| self.days & 1 << day != 0).map(|day| DAYS[day]).collect();
        let time = |minute: u16| format!("{:02}:{:02}", minute / 60, minute % 60);
        let zone = self.zone.iana_name().unwrap_or("UTC");
        write!(f, "{} {}-{} {zone}", on.join(","), time(self.from), time(self.until))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> i64 {
        text.parse::<Timestamp>().unwrap_or_else(|error| panic!("{text}: {error}")).as_second()
    }

    #[test]
    fn weeks_days_and_zones() {
        for (window, moment, contains) in [
            // 2026-11-26 is a Thursday.
            ("mon-fri 08:00-18:00", "2026-11-26T08:00:00Z", true),
            ("mon-fri 08:00-18:00", "2026-11-26T07:59:59Z", false),
            ("mon-fri 08:00-18:00", "2026-11-26T18:00:00Z", false),
            ("mon-fri 08:00-18:00", "2026-11-28T12:00:00Z", false),
            ("sat,sun", "2026-11-29T00:00:00Z", true),
            ("fri-mon", "2026-11-26T12:00:00Z", false),
            ("fri-mon", "2026-11-30T23:59:59Z", true),
            ("08:00-24:00", "2026-11-26T23:59:59Z", true),
            // over midnight: named by the day when it begins
            ("fri 22:00-06:00", "2026-11-27T22:00:00Z", true),
            ("fri 22:00-06:00", "2026-11-28T05:59:00Z", true),
            ("fri 22:00-06:00", "2026-11-27T05:00:00Z", false),
            ("fri 22:00-06:00", "2026-11-28T06:00:00Z", false),
            // Berlin is an hour ahead in winter and two in summer.
            ("08:00-09:00 Europe/Berlin", "2026-01-15T07:30:00Z", true),
            ("08:00-09:00 Europe/Berlin", "2026-07-15T07:30:00Z", false),
            ("08:00-09:00 Europe/Berlin", "2026-07-15T06:30:00Z", true),
            // Another day there already.
            ("fri Pacific/Auckland", "2026-11-26T12:00:00Z", true),
            ("America/New_York", "2026-11-26T12:00:00Z", true),
        ] {
            let read = Window::parse(window).unwrap_or_else(|error| panic!("{window}: {error}"));
            assert_eq!(read.contains(at(moment)), contains, "{window} {moment}");
            assert_eq!(Window::parse(&read.to_string()).as_ref(), Ok(&read), "{read}");
        }
    }

    #[test]
    fn what_is_no_window_is_told() {
        for wrong in [
            "",
            "monday 08:00-18:00",
            "mon 8-18",
            "mon 08:00",
            "mon 25:00-26:00",
            "mon 08:00-08:00",
            "mon 24:00-08:00",
            "mon 08:00-18:00 Mars/Olympus",
            "mon 08:00-18:00 UTC tue",
            "08:00-18:00 mon",
        ] {
            assert!(Window::parse(wrong).is_err(), "{wrong}");
        }
    }
}
