//! The ID command (RFC 2971).

use super::args::{Args, BadArgument};
use super::command::Command;

/// Most field-value pairs.
pub const PAIRS_CAP: usize = 30;
/// Longest field in bytes.
pub const FIELD_CAP: usize = 30;
/// Longest value in bytes.
pub const VALUE_CAP: usize = 1024;
/// Most bytes of fields and values that are kept to be passed on; further pairs are dropped.
const KEPT_CAP: usize = 2048;
/// Most pairs of the client that are passed on, so that usher's own fit into [`PAIRS_CAP`].
const KEPT_PAIRS: usize = 22;

/// The pairs of a client that may be passed on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClientId {
    pairs: Vec<(Vec<u8>, Option<Vec<u8>>)>,
}

/// Parses the parameters of an ID command. Fields that begin with `x-` are believed only from a proxy, so they are left
/// out.
pub(super) fn parse(command: &Command) -> Result<ClientId, BadArgument> {
    let mut args = Args::new(command);
    args.space()?;
    args.blanks();
    if args.peek() != Some(b'(') {
        return match args.nstring()? {
            None => args.end().map(|()| ClientId::default()),
            Some(_) => Err(BadArgument),
        };
    }
    args.octet(b'(')?;
    args.blanks();
    let mut id = ClientId::default();
    let (mut seen, mut kept) = (0, 0);
    while args.peek() != Some(b')') {
        let field = args.string()?;
        args.space()?;
        args.blanks();
        let value = args.nstring()?;
        if args.peek() != Some(b')') {
            args.space()?;
            args.blanks();
        }
        seen += 1;
        let value_length = value.as_ref().map_or(0, |v| v.len());
        if seen > PAIRS_CAP || field.len() > FIELD_CAP || value_length > VALUE_CAP {
            return Err(BadArgument);
        }
        kept += field.len() + value_length;
        let passes = !is_proxy_field(&field) && kept <= KEPT_CAP && id.pairs.len() < KEPT_PAIRS;
        if passes && is_quotable(&field) && value.as_ref().is_none_or(|v| is_quotable(v)) {
            id.pairs.push((field.into_owned(), value.map(std::borrow::Cow::into_owned)));
        }
    }
    args.octet(b')')?;
    args.end()?;
    Ok(id)
}

fn is_proxy_field(field: &[u8]) -> bool {
    field.get(..2).is_some_and(|start| start.eq_ignore_ascii_case(b"x-"))
}

fn is_quotable(bytes: &[u8]) -> bool {
    bytes.iter().all(|b| matches!(b, 0x20..=0x7e))
}

/// Appends the parameter list `(…)`: the client's pairs, followed by usher's `own`.
///
/// `own` values are usher's: printable ASCII, at most [`VALUE_CAP`] bytes.
pub fn write(client: &ClientId, own: &[(&str, &str)], out: &mut Vec<u8>) {
    if client.pairs.is_empty() && own.is_empty() {
        // Some servers reject an empty list (RFC 2971 section 3.1 allows it only by a slip in its grammar).
        out.extend_from_slice(b"NIL");
        return;
    }
    out.push(b'(');
    let client = client.pairs.iter().map(|(field, value)| (field.as_slice(), value.as_deref()));
    let own = own.iter().map(|(field, value)| (field.as_bytes(), Some(value.as_bytes())));
    for (i, (field, value)) in client.chain(own).enumerate() {
        if i > 0 {
            out.push(b' ');
        }
        write_quoted(field, out);
        out.push(b' ');
        match value {
            Some(value) => write_quoted(value, out),
            None => out.extend_from_slice(b"NIL"),
        }
    }
    out.push(b')');
}

/// Appends `bytes`, which hold no CR, LF, NUL or 8-bit byte, as a quoted string.
pub(super) fn write_quoted(bytes: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    for b in bytes {
        if matches!(b, b'"' | b'\\') {
            out.push(b'\\');
        }
        out.push(*b);
    }
    out.push(b'"');
}
