//! FETCH items.

use super::parse::Arg;
use super::store::Message;

/// The items that a FETCH asks for, macros written out.
pub(super) fn items(arg: &Arg) -> Vec<String> {
    let list = match arg {
        Arg::List(list) => list.iter().map(Arg::text).collect(),
        other => vec![other.text()],
    };
    match list.first().map(|first| first.to_ascii_uppercase()).as_deref() {
        Some("ALL") => words("FLAGS INTERNALDATE RFC822.SIZE ENVELOPE"),
        Some("FAST") => words("FLAGS INTERNALDATE RFC822.SIZE"),
        Some("FULL") => words("FLAGS INTERNALDATE RFC822.SIZE ENVELOPE BODY"),
        _ => list,
    }
}

fn words(text: &str) -> Vec<String> {
    text.split(' ').map(str::to_owned).collect()
}

/// Whether fetching the item makes the message seen.
pub(super) fn marks_seen(item: &str) -> bool {
    let item = item.to_ascii_uppercase();
    item.starts_with("BODY[") || item == "RFC822" || item == "RFC822.TEXT"
}

/// Appends `name value` of one item; nothing for an unknown one.
pub(super) fn write(item: &str, message: &Message, out: &mut Vec<u8>) {
    let upper = item.to_ascii_uppercase();
    let mut text = |text: String| out.extend_from_slice(text.as_bytes());
    match upper.as_str() {
        "FLAGS" => text(format!("FLAGS ({})", message.flags.join(" "))),
        "UID" => text(format!("UID {}", message.uid)),
        "INTERNALDATE" => text("INTERNALDATE \"02-Nov-2026 09:00:00 +0000\"".to_owned()),
        "RFC822.SIZE" => text(format!("RFC822.SIZE {}", message.raw.len())),
        "ENVELOPE" => text(format!("ENVELOPE {}", envelope(message))),
        "BODY" | "BODYSTRUCTURE" => {
            let body = message.parts().1;
            let lines = body.iter().filter(|b| **b == b'\n').count();
            let plain = r#"("text" "plain" ("charset" "utf-8") NIL NIL "8bit""#;
            text(format!("{upper} {plain} {} {lines})", body.len()));
        }
        "RFC822" => literal("RFC822", &message.raw, out),
        "RFC822.HEADER" => literal("RFC822.HEADER", message.parts().0, out),
        "RFC822.TEXT" => literal("RFC822.TEXT", message.parts().1, out),
        _ => section(item, message, out),
    }
}

/// `BODY[section]<offset.length>`.
fn section(item: &str, message: &Message, out: &mut Vec<u8>) {
    let Some((_, rest)) = item.split_once('[') else { return };
    let Some((section, partial)) = rest.rsplit_once(']') else { return };
    let upper = section.to_ascii_uppercase();
    let (header, body) = message.parts();
    let bytes = match upper.as_str() {
        "" => message.raw.clone(),
        "HEADER" => header.to_vec(),
        "TEXT" | "1" => body.to_vec(),
        fields if fields.starts_with("HEADER.FIELDS") => {
            let not = fields.starts_with("HEADER.FIELDS.NOT");
            let names: Vec<_> = fields.split(['(', ')']).nth(1).unwrap_or_default().split(' ').collect();
            let header = String::from_utf8_lossy(header).replace("\r\n ", "\0").replace("\r\n\t", "\0");
            let wanted = header.lines().filter(|line| {
                let name = line.split(':').next().unwrap_or_default();
                !line.is_empty() && names.iter().any(|wanted| wanted.eq_ignore_ascii_case(name)) != not
            });
            let fields: String = wanted.map(|line| format!("{}\r\n", line.replace('\0', "\r\n "))).collect();
            format!("{fields}\r\n").into_bytes()
        }
        _ => Vec::new(),
    };
    let range = partial.trim_matches(['<', '>']);
    match range.split_once('.').and_then(|(from, length)| Some((from.parse().ok()?, length.parse().ok()?))) {
        Some((from, length)) => {
            let from: usize = from;
            let part: Vec<u8> = bytes.into_iter().skip(from).take(length).collect();
            literal(&format!("BODY[{section}]<{from}>"), &part, out);
        }
        None => literal(&format!("BODY[{section}]"), &bytes, out),
    }
}

fn literal(name: &str, bytes: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(format!("{name} {{{}}}\r\n", bytes.len()).as_bytes());
    out.extend_from_slice(bytes);
}

fn envelope(message: &Message) -> String {
    let quoted = |value: Option<String>| match value {
        Some(value) => format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\"")),
        None => "NIL".to_owned(),
    };
    let address = |field: &str| match message.field(field) {
        Some(value) => {
            let mail = value.rsplit_once('<').map_or(value.as_str(), |(_, mail)| mail.trim_end_matches('>'));
            let (local, domain) = mail.split_once('@').unwrap_or((mail, ""));
            format!("((NIL NIL \"{local}\" \"{domain}\"))")
        }
        None => "NIL".to_owned(),
    };
    let from = address("From");
    format!(
        "({} {} {from} {from} {from} {} NIL NIL {} {})",
        quoted(message.field("Date")),
        quoted(message.field("Subject")),
        address("To"),
        quoted(message.field("In-Reply-To")),
        quoted(message.field("Message-ID"))
    )
}
