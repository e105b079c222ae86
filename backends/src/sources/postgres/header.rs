//! The first line of a list, read while it passes: an attribute that has a column, and no value in any line, is removed.

use crate::directory::attribute_name;
use std::io::{self, Read};

/// Longest first line that is looked at, in bytes.
const CAP: usize = 64 * 1024;

pub(super) struct Header<'s> {
    source: &'s mut dyn Read,
    line: Vec<u8>,
    is_over: bool,
}

impl<'s> Header<'s> {
    pub(super) fn new(source: &'s mut dyn Read) -> Self {
        Self { source, line: Vec::new(), is_over: false }
    }

    /// The attributes that have columns.
    pub(super) fn columns(&self) -> Vec<String> {
        let text = String::from_utf8_lossy(&self.line);
        let line = text.trim_start_matches('\u{feff}').trim();
        let separator =
            [',', ';', '\t'].into_iter().find(|separator| line.contains(*separator)).unwrap_or(',');
        let mut fields = line.split(separator).map(|field| field.trim().trim_matches('"'));
        let is =
            |field: Option<&str>, name: &str| field.is_some_and(|field| field.eq_ignore_ascii_case(name));
        if !is(fields.next(), "user") || !is(fields.next(), "host") {
            return Vec::new();
        }
        fields.filter_map(attribute_name).collect()
    }
}

impl Read for Header<'_> {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        let count = self.source.read(room)?;
        for byte in room.iter().take(count) {
            let is_blank = self.line.iter().all(u8::is_ascii_whitespace);
            if self.is_over || self.line.len() >= CAP || *byte == b'\n' && !is_blank {
                self.is_over = true;
                break;
            }
            self.line.push(*byte);
        }
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_is_one_although_it_is_empty() {
        let columns = |list: &str| {
            let mut list = list.as_bytes();
            let mut header = Header::new(&mut list);
            io::copy(&mut header, &mut io::sink()).unwrap();
            header.columns()
        };
        assert_eq!(columns("\u{feff}User;HOST;\"City\"; department\r\na;b;;\r\n"), ["city", "department"]);
        assert_eq!(columns("\n\nuser,host\na,b\n"), Vec::<String>::new());
        assert_eq!(columns("anna@example.com,one.test,x\n"), Vec::<String>::new());
    }
}
