//! FETCH and STORE of one message.

use super::parse::Arg;
use super::{Message, fetch};

pub(super) fn fetch_one(number: u32, message: &mut Message, by_uid: bool, wanted: &Arg, out: &mut Vec<u8>) {
    let mut items = fetch::items(wanted);
    if by_uid && !items.iter().any(|item| item.eq_ignore_ascii_case("UID")) {
        items.insert(0, "UID".to_owned());
    }
    if items.iter().any(|item| fetch::marks_seen(item)) && !message.has("\\Seen") {
        message.flags.push("\\Seen".to_owned());
    }
    out.extend_from_slice(format!("* {number} FETCH (").as_bytes());
    for (at, item) in items.iter().enumerate() {
        if at > 0 {
            out.push(b' ');
        }
        fetch::write(item, message, out);
    }
    out.extend_from_slice(b")\r\n");
}

pub(super) fn store_one(
    number: u32,
    message: &mut Message,
    by_uid: bool,
    args: &[Arg],
    out: &mut Vec<u8>,
) -> Option<()> {
    let how = args.get(1)?.text().to_ascii_uppercase();
    let flags: Vec<String> = match args.get(2)? {
        Arg::List(flags) => flags.iter().map(Arg::text).collect(),
        one => vec![one.text()],
    };
    match how.chars().next() {
        Some('+') => {
            message.flags.retain(|held| !flags.contains(held));
            message.flags.extend(flags);
        }
        Some('-') => message.flags.retain(|held| !flags.contains(held)),
        _ => message.flags = flags,
    }
    if !how.ends_with(".SILENT") {
        let uid = if by_uid { format!("UID {} ", message.uid) } else { String::new() };
        out.extend_from_slice(
            format!("* {number} FETCH ({uid}FLAGS ({}))\r\n", message.flags.join(" ")).as_bytes(),
        );
    }
    Some(())
}
