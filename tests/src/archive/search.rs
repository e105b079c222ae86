//! SEARCH keys.

use super::parse::{Arg, in_set};
use super::store::Message;

/// Whether a message, the `number`th of `last`, matches all of `keys`. `None`: a key is unknown.
pub(super) fn matches(
    keys: &[Arg],
    message: &Message,
    number: u32,
    last: u32,
    last_uid: u32,
) -> Option<bool> {
    let mut rest = keys;
    let mut all = true;
    while !rest.is_empty() {
        let (one, next) = key(rest, message, number, last, last_uid)?;
        all &= one;
        rest = next;
    }
    Some(all)
}

fn key<'a>(
    keys: &'a [Arg],
    message: &Message,
    number: u32,
    last: u32,
    last_uid: u32,
) -> Option<(bool, &'a [Arg])> {
    let (first, rest) = keys.split_first()?;
    if let Arg::List(inner) = first {
        return Some((matches(inner, message, number, last, last_uid)?, rest));
    }
    let word = first.text().to_ascii_uppercase();
    let text = |rest: &'a [Arg]| rest.split_first().map(|(text, rest)| (text.text().to_lowercase(), rest));
    let holds = |haystack: String, needle: &str| haystack.to_lowercase().contains(needle);
    Some(match word.as_str() {
        "ALL" | "OLD" => (true, rest),
        "RECENT" | "NEW" => (false, rest),
        "SEEN" | "DELETED" | "FLAGGED" | "ANSWERED" | "DRAFT" => (message.has(&format!("\\{word}")), rest),
        "UNSEEN" | "UNDELETED" | "UNFLAGGED" | "UNANSWERED" | "UNDRAFT" => {
            (!message.has(&format!("\\{}", &word[2..])), rest)
        }
        "NOT" => {
            let (one, rest) = key(rest, message, number, last, last_uid)?;
            (!one, rest)
        }
        "OR" => {
            let (one, rest) = key(rest, message, number, last, last_uid)?;
            let (other, rest) = key(rest, message, number, last, last_uid)?;
            (one || other, rest)
        }
        "CHARSET" | "BEFORE" | "ON" | "SINCE" | "SENTBEFORE" | "SENTON" | "SENTSINCE" => {
            (true, rest.get(1..)?)
        }
        "UID" => {
            let (set, rest) = rest.split_first()?;
            (in_set(&set.text(), message.uid, last_uid), rest)
        }
        "SUBJECT" | "FROM" | "TO" | "CC" => {
            let (needle, rest) = text(rest)?;
            (holds(message.field(&word).unwrap_or_default(), &needle), rest)
        }
        "HEADER" => {
            let (field, rest) = text(rest)?;
            let (needle, rest) = text(rest)?;
            (message.field(&field).is_some_and(|value| holds(value, &needle)), rest)
        }
        "TEXT" | "BODY" => {
            let (needle, rest) = text(rest)?;
            let (_, body) = message.parts();
            let bytes = if word == "TEXT" { &message.raw } else { body };
            (holds(String::from_utf8_lossy(bytes).into_owned(), &needle), rest)
        }
        set if set.starts_with(|c: char| c.is_ascii_digit() || c == '*') => (in_set(set, number, last), rest),
        _ => return None,
    })
}
