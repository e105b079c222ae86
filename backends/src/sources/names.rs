//! Names and answers as sources write them.

use super::fault::SourceFault;
use super::placement;
use crate::directory::{ATTRIBUTE_CAP, Pairs, Placement, attribute_name, stored_as};
use std::borrow::Cow;
use usher_policy::ArchiveKey;

/// Longest name of a host, in bytes (RFC 1035 section 2.3.4).
const HOST_CAP: usize = 255;

/// A template with `{user}`, `{name}` and `{domain}` for `key`, each `escaped`. Without a domain, `{domain}` is empty.
pub(super) fn fill(template: &str, key: &ArchiveKey, escaped: fn(&str) -> Cow<'_, str>) -> String {
    let user = key.to_string();
    let (name, domain) = user.rsplit_once('@').unwrap_or((&user, ""));
    let mut filled = String::with_capacity(template.len() + user.len());
    let mut rest = template;
    // In one pass: what a name contains is no template.
    while let Some(at) = rest.find('{') {
        let (before, from) = rest.split_at(at);
        filled.push_str(before);
        let known = [("{user}", &*user), ("{name}", name), ("{domain}", domain)];
        match known.into_iter().find(|(written, _)| from.starts_with(written)) {
            Some((written, value)) => {
                filled.push_str(&escaped(value));
                rest = &from[written.len()..];
            }
            None => {
                filled.push('{');
                rest = &from[1..];
            }
        }
    }
    filled.push_str(rest);
    filled
}

/// The placement of `key` that a record of `fields` says: `host` or `address`, `port`, `login`, and attributes.
///
/// # Errors
/// [`SourceFault::Answer`], if it does not name one host.
pub(super) fn read(
    key: &ArchiveKey,
    found_by: &ArchiveKey,
    fields: impl IntoIterator<Item = (String, String)>,
) -> Result<Placement, SourceFault> {
    let (mut host, mut port, mut login) = (None::<String>, None, None);
    let mut attributes = Pairs::new();
    for (name, value) in fields {
        let value = value.trim();
        match name.to_ascii_lowercase().as_str() {
            _ if value.is_empty() => {}
            "host" | "address" => {
                if host.as_ref().is_some_and(|host| !host.eq_ignore_ascii_case(value)) {
                    return Err(SourceFault::answer(format!("{key} is on more than one host")));
                }
                host = Some(value.to_owned());
            }
            "port" => {
                let number: Option<u16> = value.parse().ok().filter(|port| *port != 0);
                let number = number.ok_or_else(|| {
                    SourceFault::answer(format!("the port of {key} is not one: {:?}", shortened(value)))
                })?;
                port = Some(number);
            }
            "login" => login = Some(value.into()),
            other => {
                let is_text = value.len() <= ATTRIBUTE_CAP && !value.chars().any(char::is_control);
                if let Some(name) = attribute_name(other).filter(|_| is_text) {
                    attributes.insert(name, value.to_owned());
                }
            }
        }
    }
    let host = host.ok_or_else(|| SourceFault::answer(format!("nothing says on which host {key} is")))?;
    let (host, of_host) = split(&host);
    if host.is_empty()
        || host.len() > HOST_CAP
        || host.chars().any(|c| c.is_control() || c.is_whitespace() || c == '/')
    {
        return Err(SourceFault::answer(format!("the host of {key} is not one: {:?}", shortened(host))));
    }
    let is_name = |login: &str| !login.chars().any(char::is_control);
    if login.as_deref().is_some_and(|login: &str| !is_name(login)) {
        return Err(SourceFault::answer(format!("the login of {key} has control characters in it")));
    }
    let mut placement = placement(host.to_ascii_lowercase(), found_by.clone());
    placement.port = port.or(of_host);
    placement.login = login;
    placement.attributes = stored_as(&attributes).map(Into::into);
    Ok(placement)
}

/// A host, and the port behind it if there is one.
fn split(host: &str) -> (&str, Option<u16>) {
    let bare = |host: &'_ str| -> Option<(usize, usize)> {
        let inner = host.strip_prefix('[')?.strip_suffix(']')?;
        Some((1, 1 + inner.len()))
    };
    let parts = host.rsplit_once(':').and_then(|(name, port)| Some((name, port.parse().ok()?)));
    let (name, port) = match parts {
        // More colons without brackets are an IPv6 address.
        Some((name, port)) if !name.contains(':') || name.ends_with(']') => (name, Some(port)),
        _ => (host, None),
    };
    (bare(name).map_or(name, |(from, to)| &name[from..to]), port)
}

fn shortened(text: &str) -> String {
    text.chars().take(64).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> ArchiveKey {
        ArchiveKey::User("an{user}na@example.com".to_owned())
    }

    fn read_of(fields: &[(&str, &str)]) -> Result<Placement, SourceFault> {
        let fields = fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        read(&key(), &key(), fields)
    }

    #[test]
    fn a_name_is_no_template() {
        let plain = |value: &str| -> Cow<'_, str> { Cow::Owned(value.to_owned()) };
        fn same(value: &str) -> Cow<'_, str> {
            value.into()
        }
        let _ = plain;
        assert_eq!(
            fill("{user}|{name}|{domain}|{x", &key(), same),
            "an{user}na@example.com|an{user}na|example.com|{x"
        );
    }

    #[test]
    fn a_record_names_one_host() {
        let cases = [
            ("IH1.example.com", "ih1.example.com", None),
            ("10.0.0.5:143", "10.0.0.5", Some(143)),
            ("[2001:db8::5]:993", "2001:db8::5", Some(993)),
            ("2001:db8::5", "2001:db8::5", None),
            (" ih1 ", "ih1", None),
        ];
        for (written, host, port) in cases {
            let placement = read_of(&[("host", written)]).unwrap();
            assert_eq!((placement.host.as_str(), placement.port), (host, port), "{written}");
        }
        for bad in [
            &[][..],
            &[("host", "")],
            &[("host", "a"), ("address", "b")],
            &[("host", "a b")],
            &[("host", "a"), ("port", "0")],
            &[("host", "a"), ("port", "http")],
            &[("host", "a"), ("login", "a\r\nb")],
        ] {
            assert!(matches!(read_of(bad), Err(SourceFault::Answer(_))), "{bad:?}");
        }
    }

    #[test]
    fn what_else_it_says_are_attributes() {
        let placement = read_of(&[("host", "a"), ("Department", "sales"), ("login", "anna")]).unwrap();
        assert_eq!(placement.attributes.as_deref(), Some(r#"{"department":"sales"}"#));
        assert_eq!(placement.login.as_deref(), Some("anna"));
    }
}
