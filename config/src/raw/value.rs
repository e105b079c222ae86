//! Single values: how they are written, and what to suggest when they are wrong.

use super::shape::Kind;
use crate::fault::Fault;
use crate::shown;
use std::ops::Range;
use std::time::Duration;
use toml::de::DeValue;

/// A value and where it stands.
#[derive(Debug, Clone)]
pub(crate) struct Located<T> {
    pub(crate) value: T,
    pub(crate) span: Range<usize>,
}

impl<T> Located<T> {
    /// A fault at this value.
    pub(crate) fn fault(&self, what: impl Into<String>, instead: impl Into<String>) -> Fault {
        Fault::new(self.span.clone(), what, instead)
    }
}

/// Something that a value of the file can be read as.
pub(crate) trait FromValue: Sized {
    /// What to write, with an example.
    const EXPECTED: &'static str;

    /// What may be written, for those who want to know it before.
    fn kind() -> Kind;

    fn from_value(value: &DeValue<'_>) -> Option<Self>;
}

impl FromValue for String {
    const EXPECTED: &'static str = "write a string in double quotes";

    fn kind() -> Kind {
        Kind::Text
    }

    fn from_value(value: &DeValue<'_>) -> Option<Self> {
        match value {
            DeValue::String(text) => Some(text.to_string()),
            _ => None,
        }
    }
}

impl FromValue for bool {
    const EXPECTED: &'static str = "write true or false";

    fn kind() -> Kind {
        Kind::Boolean
    }

    fn from_value(value: &DeValue<'_>) -> Option<Self> {
        match value {
            DeValue::Boolean(b) => Some(*b),
            _ => None,
        }
    }
}

impl FromValue for u32 {
    const EXPECTED: &'static str = "write a whole number from 1 to 4294967295, without quotes";

    fn kind() -> Kind {
        Kind::Number(1)
    }

    fn from_value(value: &DeValue<'_>) -> Option<Self> {
        match value {
            DeValue::Integer(number) if number.radix() == 10 => {
                number.as_str().replace('_', "").parse().ok().filter(|n| *n > 0)
            }
            _ => None,
        }
    }
}

/// A number of things, which may be none.
pub(crate) struct Count(pub(crate) u32);

impl FromValue for Count {
    const EXPECTED: &'static str = "write a whole number from 0 to 4294967295, without quotes";

    fn kind() -> Kind {
        Kind::Number(0)
    }

    fn from_value(value: &DeValue<'_>) -> Option<Self> {
        match value {
            DeValue::Integer(number) if number.as_str() == "0" => Some(Self(0)),
            _ => u32::from_value(value).map(Self),
        }
    }
}

/// A duration, which may be none.
pub(crate) struct Wait(pub(crate) Duration);

impl FromValue for Wait {
    const EXPECTED: &'static str = "write a duration such as \"1s\", or \"0s\" for none";

    fn kind() -> Kind {
        Kind::Pattern("^(0s|0*[1-9][0-9]*(ms|s|m|h|d))$")
    }

    fn from_value(value: &DeValue<'_>) -> Option<Self> {
        match value {
            DeValue::String(text) if text == "0s" => Some(Self(Duration::ZERO)),
            _ => Duration::from_value(value).map(Self),
        }
    }
}

/// A size in bytes.
pub(crate) struct Octets(pub(crate) u64);

impl FromValue for Octets {
    const EXPECTED: &'static str = "write a size such as \"512MiB\" or \"2GiB\"";

    fn kind() -> Kind {
        Kind::Pattern("^0*[1-9][0-9]*(KiB|MiB|GiB)$")
    }

    fn from_value(value: &DeValue<'_>) -> Option<Self> {
        let DeValue::String(text) = value else { return None };
        let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit())?);
        let shift = match unit {
            "KiB" => 10,
            "MiB" => 20,
            "GiB" => 30,
            _ => return None,
        };
        let octets = number.parse::<u64>().ok()?.checked_mul(1 << shift)?;
        (octets > 0).then_some(Self(octets))
    }
}

/// A rate in bytes per second; zero is allowed.
pub(crate) struct Rate(pub(crate) u64);

impl FromValue for Rate {
    const EXPECTED: &'static str = "write a rate per second such as \"1KiB\", or \"0KiB\" for none";

    fn kind() -> Kind {
        Kind::Pattern("^(0KiB|0*[1-9][0-9]*(KiB|MiB|GiB))$")
    }

    fn from_value(value: &DeValue<'_>) -> Option<Self> {
        match value {
            DeValue::String(text) if text == "0KiB" => Some(Self(0)),
            _ => Octets::from_value(value).map(|octets| Self(octets.0)),
        }
    }
}

impl FromValue for Duration {
    const EXPECTED: &'static str = "write a duration such as \"250ms\", \"5s\", \"10m\" or \"12h\"";

    fn kind() -> Kind {
        Kind::Pattern("^0*[1-9][0-9]*(ms|s|m|h|d)$")
    }

    fn from_value(value: &DeValue<'_>) -> Option<Self> {
        let DeValue::String(text) = value else { return None };
        shown::duration::parse(text)
    }
}
