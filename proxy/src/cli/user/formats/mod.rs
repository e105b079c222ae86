//! Lists of users as other programs keep them, turned into lines of `user,host` while they are read. Each line of the
//! source becomes one line, so that what is said of a line is said of the right one.

mod ldif;
mod pairs;
mod passwd_file;
mod popmap;

use std::collections::BTreeMap;
use std::io::{self, BufRead, Read};
use usher_wire::printable::printable;

/// How a list is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// Lines of `user,host`.
    Csv,
    /// Dovecot's passwd-file, with `host=` in its extra fields.
    PasswdFile,
    /// Perdition's popmap: `user:host:port`.
    Popmap,
    /// LDIF with `mailHost` or `zimbraMailHost`, as `slapcat` writes it.
    Ldif,
    /// Lines of a user, a tab and a host, as usher writes what it has asked others for.
    Pairs,
}

/// What a reader of lines says.
trait Reader {
    /// Takes the next line, without its end; `None`: there is no more. Pushes the lines that come of it.
    fn take(&mut self, line: Option<&str>, out: &mut Vec<u8>, left: &mut Left);
}

/// What is not carried over, and how often it was there.
#[derive(Debug, Default)]
pub(super) struct Left(BTreeMap<String, u64>);

impl Left {
    pub(super) fn note(&mut self, what: &str) {
        *self.0.entry(what.to_owned()).or_default() += 1;
    }

    /// Says it.
    pub(super) fn tell(&self) {
        for (what, count) in &self.0 {
            eprintln!("not carried over: {} ({count})", printable(what));
        }
    }
}

/// A list in another format, read as lines of `user,host`.
pub(super) struct Translated<'h, R> {
    source: R,
    reader: Box<dyn Reader>,
    host: &'h dyn Fn(&str) -> String,
    ready: Vec<u8>,
    at: usize,
    is_over: bool,
    /// What is not in those lines.
    pub(super) left: Left,
}

impl<'h, R: BufRead> Translated<'h, R> {
    /// Reads `source`; `None`: it is CSV already. `host` knows the names of hosts by their names and addresses.
    pub(super) fn new(source: R, format: Format, host: &'h dyn Fn(&str) -> String) -> Result<Self, R> {
        let reader: Box<dyn Reader> = match format {
            Format::Csv => return Err(source),
            Format::PasswdFile => Box::new(passwd_file::PasswdFile),
            Format::Popmap => Box::new(popmap::Popmap),
            Format::Ldif => Box::<ldif::Ldif>::default(),
            Format::Pairs => Box::new(pairs::Pairs),
        };
        Ok(Self { source, reader, host, ready: Vec::new(), at: 0, is_over: false, left: Left::default() })
    }

    fn fill(&mut self) -> io::Result<()> {
        self.ready.clear();
        self.at = 0;
        while self.ready.is_empty() && !self.is_over {
            let mut line = Vec::new();
            let length = self.source.read_until(b'\n', &mut line)?;
            self.is_over = length == 0;
            let text = String::from_utf8_lossy(&line);
            let text = text.trim_end_matches(['\n', '\r']);
            let text = text.strip_prefix('\u{feff}').unwrap_or(text);
            let mut rows = Vec::new();
            self.reader.take((!self.is_over).then_some(text), &mut rows, &mut self.left);
            for row in rows.split_inclusive(|octet| *octet == b'\n') {
                self.push(row);
            }
        }
        Ok(())
    }

    /// Adds a line, in which the host is named as usher names it.
    fn push(&mut self, row: &[u8]) {
        let row = String::from_utf8_lossy(row);
        match row.trim_end_matches('\n').split_once('\t') {
            Some((user, host)) => {
                let named = (self.host)(host);
                self.ready.extend_from_slice(format!("{},{}\n", quoted(user), quoted(&named)).as_bytes());
            }
            None => self.ready.push(b'\n'),
        }
    }
}

/// A field of CSV.
fn quoted(field: &str) -> String {
    format!("\"{}\"", field.replace('"', "\"\""))
}

impl<R: BufRead> Read for Translated<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.at == self.ready.len() {
            self.fill()?;
        }
        let rest = self.ready.get(self.at..).unwrap_or_default();
        let count = rest.len().min(buffer.len());
        for (to, from) in buffer.iter_mut().zip(rest) {
            *to = *from;
        }
        self.at += count;
        Ok(count)
    }
}

/// Pushes a line for `user` at `host`.
pub(super) fn push(out: &mut Vec<u8>, user: &str, host: &str) {
    // A tab can be in neither: it would be malformed.
    let clean = |text: &str| text.trim().replace(['\t', '\n'], " ");
    out.extend_from_slice(format!("{}\t{}\n", clean(user), clean(host)).as_bytes());
}

/// Pushes a line that says nothing.
pub(super) fn skip(out: &mut Vec<u8>) {
    out.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What becomes of a list, and what is left.
    fn read(format: Format, text: &str) -> (String, Vec<String>) {
        let host = |named: &str| if named == "10.0.0.11" { "ih1.test".to_owned() } else { named.to_owned() };
        let mut translated = Translated::new(text.as_bytes(), format, &host).ok().unwrap();
        let mut csv = String::new();
        translated.read_to_string(&mut csv).unwrap();
        (csv.replace('"', ""), translated.left.0.into_keys().collect())
    }

    #[test]
    fn a_passwd_file_names_hosts_in_its_extra_fields() {
        let (csv, left) = read(
            Format::PasswdFile,
            "# users\nanna:{PLAIN}x::::::proxy=y host=10.0.0.11 port=143\n\n\
             bert@example.com:{SHA}a::::::host=ih2.test proxy_maybe destuser=b userdb_mail=x\ncarl:x::::::\n",
        );
        assert_eq!(csv, "\nanna,ih1.test\n\nbert@example.com,ih2.test\ncarl,\n");
        assert_eq!(left, ["destuser", "port"]);
    }

    #[test]
    fn a_popmap_names_hosts_behind_a_colon() {
        let (csv, left) =
            read(Format::Popmap, "anna:10.0.0.11:143\r\nbert: ih2.test\n# c\n(.*)@x: ih2.test\ndora\n");
        assert_eq!(csv, "anna,ih1.test\nbert,ih2.test\n\n\ndora,\n");
        assert_eq!(left, ["port", "regular expressions, such as (.*)@x"]);
    }

    #[test]
    fn ldif_names_hosts_of_every_address_and_keeps_the_numbers_of_lines() {
        let (csv, left) = read(
            Format::Ldif,
            "version: 1\n\ndn: uid=anna,dc=test\nobjectClass: inetLocalMailRecipient\nmailLocalAddress: anna@test\n\
             mailLocalAddress: a.b\n @test\nmailHost:: MTAuMC4wLjEx\n\ndn: uid=bert\nmail: bert@test\n\
             zimbraMailHost: ih2.test\n# c\n\ndn: ou=people\nou: people\n",
        );
        let lines: Vec<_> = csv.lines().collect();
        assert_eq!(lines[6..8], ["anna@test,ih1.test", "a.b@test,ih1.test"]);
        assert_eq!(lines[12], "bert@test,ih2.test");
        assert_eq!(lines.len(), 16, "{csv}");
        assert_eq!(left, ["entries without a host"]);
    }
}
