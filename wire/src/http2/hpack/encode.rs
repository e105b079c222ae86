//! From fields to HPACK. Nothing is kept in a table: neither side needs memory for it, and no field can be guessed by
//! its length from what else is sent (RFC 7541 section 7.1).

use super::table::STATIC;

/// Says that no table is kept, which is to be said where the client has asked for a smaller one (section 4.2).
pub(in crate::http2) fn encode_nothing_kept(out: &mut Vec<u8>) {
    out.push(0x20);
}

/// `:status`.
pub(in crate::http2) fn encode_status(status: u16, out: &mut Vec<u8>) {
    let index = match status {
        200 => 8,
        204 => 9,
        206 => 10,
        304 => 11,
        400 => 12,
        404 => 13,
        500 => 14,
        _ => {
            out.extend_from_slice(&[8, 3]);
            return out.extend([100, 10, 1].map(|unit| b'0' + (status / unit % 10) as u8));
        }
    };
    out.push(0x80 | index);
}

/// A field; its name is in lower case.
pub(in crate::http2) fn encode_field(name: &str, value: &[u8], out: &mut Vec<u8>) {
    // What is sent on is not to be kept by anybody on the way (section 7.1.3).
    let kind = if name == "set-cookie" { 0x10 } else { 0 };
    match index(name) {
        Some(index) => number(kind, 4, index, out),
        None => {
            out.push(kind);
            text(name.as_bytes(), out);
        }
    }
    text(value, out);
}

/// The index of a name that everybody knows.
fn index(name: &str) -> Option<usize> {
    // Those of responses; the names of requests are few in them.
    let first = name.as_bytes().first()?;
    let from = STATIC.iter().skip(14).position(|(known, _)| known.as_bytes().first() == Some(first))? + 14;
    let alike = STATIC.iter().skip(from).take_while(|(known, _)| known.as_bytes().first() == Some(first));
    Some(from + alike.into_iter().position(|(known, _)| *known == name)? + 1)
}

fn number(kind: u8, prefix: u8, number: usize, out: &mut Vec<u8>) {
    let mask = (1_usize << prefix) - 1;
    if number < mask {
        return out.push(kind | number as u8);
    }
    out.push(kind | mask as u8);
    let mut rest = number - mask;
    while rest >= 0x80 {
        out.push(0x80 | (rest & 0x7f) as u8);
        rest >>= 7;
    }
    out.push(rest as u8);
}

fn text(text: &[u8], out: &mut Vec<u8>) {
    number(0, 7, text.len(), out);
    out.extend_from_slice(text);
}
