//! LDIF (RFC 2849): entries of several lines, which end with a blank one.

use super::{Left, Reader, push, skip};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;

/// Attributes that name a user, the ones that count most first.
const NAMES: [&str; 5] =
    ["maillocaladdress", "zimbramaildeliveryaddress", "mail", "userprincipalname", "uid"];
/// Attributes that name a host.
const HOSTS: [&str; 2] = ["mailhost", "zimbramailhost"];

/// The entry at hand.
#[derive(Default)]
pub(super) struct Ldif {
    /// Its lines as they are meant: one that goes on is one line.
    lines: Vec<String>,
    /// How many lines of the file it has.
    count: usize,
}

impl Reader for Ldif {
    fn take(&mut self, line: Option<&str>, out: &mut Vec<u8>, left: &mut Left) {
        match line {
            Some(line) if !line.is_empty() => {
                self.count += 1;
                match (line.strip_prefix(' '), self.lines.last_mut()) {
                    (Some(more), Some(last)) => last.push_str(more),
                    _ if line.starts_with('#') => {}
                    _ => self.lines.push(line.to_owned()),
                }
            }
            Some(_) => {
                self.end(out, left);
                skip(out);
            }
            None => self.end(out, left),
        }
    }
}

impl Ldif {
    /// Ends the entry: as many lines come of it as it has.
    fn end(&mut self, out: &mut Vec<u8>, left: &mut Left) {
        let (lines, count) = (std::mem::take(&mut self.lines), std::mem::take(&mut self.count));
        let attributes: Vec<_> = lines.iter().filter_map(|line| attribute(line)).collect();
        let values = |name: &str| {
            attributes.iter().filter(|(known, _)| known == name).map(|(_, value)| value).collect::<Vec<_>>()
        };
        let hosts: Vec<_> = HOSTS.iter().flat_map(|name| values(name)).collect();
        let users = NAMES.iter().map(|name| values(name)).find(|users| !users.is_empty()).unwrap_or_default();
        let is_entry = attributes.iter().any(|(name, _)| name == "dn");
        let (users, host) = match hosts.as_slice() {
            [host] => (users, host.as_str()),
            [] => {
                if is_entry {
                    left.note("entries without a host");
                }
                (Vec::new(), "")
            }
            // Whoever has two has none that is certain.
            [..] => (users, "several hosts"),
        };
        (users.len()..count).for_each(|_| skip(out));
        users.iter().for_each(|user| push(out, user, host));
    }
}

/// A line as the attribute's name in lower case and its value.
fn attribute(line: &str) -> Option<(String, String)> {
    let (name, value) = line.split_once(':')?;
    // Options such as `;lang-de` are none of the name.
    let name = name.split(';').next().unwrap_or_default().to_ascii_lowercase();
    let value = match value.strip_prefix(':') {
        Some(encoded) => String::from_utf8(BASE64.decode(encoded.trim()).ok()?).ok()?,
        None => value.trim().to_owned(),
    };
    Some((name, value))
}
