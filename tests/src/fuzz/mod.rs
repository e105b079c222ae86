//! What the fuzzers run, and what the replay of their corpus runs on the stable toolchain.
//!
//! Each target takes any octets and panics where an invariant is broken.

mod drive;
mod streams;

use drive::{Conversation, converse, relay};
use usher_backends::http::Received;
use usher_wire::http1::{Caps, Expected, RequestReader, ResponseReader, Scheme};
use usher_wire::imap::id::ClientId;
use usher_wire::imap::login::{Login, LoginStep, Opening};
use usher_wire::imap::sasl::{self, Credential};
use usher_wire::proxy_header::{Progress, Reader};
use usher_wire::secret::{Secret, SecretBuf};

/// Takes any octets.
pub type Target = fn(&[u8]);

/// Every target by its name.
pub const TARGETS: [(&str, Target); 10] = [
    ("preauth", preauth),
    ("sasl", sasl),
    ("backend_reply", backend_reply),
    ("tracker", tracker),
    ("proxy_header", proxy_header),
    ("http_request", http_request),
    ("http_response", http_response),
    ("http2_frames", http2_frames),
    ("field", field),
    ("path", path),
];

/// Input before login: however it is split, it means the same, and it never gets stuck for want of room.
pub fn preauth(data: &[u8]) {
    let (step, data) = split_byte(data);
    let whole: Conversation = converse(data, usize::MAX);
    let pieces = converse(data, usize::from(step % 16) + 1);
    assert_eq!(whole, pieces);
}

/// SASL messages: what is taken apart is put together again.
pub fn sasl(data: &[u8]) {
    if let Some(decoded) = sasl::decode(data) {
        assert_eq!(sasl::encode(&decoded).as_bytes(), data, "one message has one encoding");
    }
    if let Some(credential) = sasl::parse_plain(data) {
        assert_eq!(credential.plain_message().as_deref().map(Vec::as_slice), Some(data));
    }
}

/// What a backend says before and to a login: bounded, and never a login that it did not confirm.
pub fn backend_reply(data: &[u8]) {
    let (mode, data) = split_byte(data);
    let mut out = Vec::new();
    let mut opening = if mode & 1 == 0 { Opening::new(mode & 2 != 0) } else { Opening::under_tls(&mut out) };
    for piece in data.chunks(usize::from(mode >> 2) + 1) {
        opening.feed(piece);
        match opening.step(&mut out) {
            Ok(usher_wire::imap::login::OpeningStep::Need) => {}
            Ok(_) | Err(_) => break,
        }
    }
    let credential = Credential::with_password(b"an\"na".to_vec(), Secret::copy_of(b"p\xff\r\n"));
    for capabilities in [&b"AUTH=PLAIN SASL-IR ID"[..], b"AUTH=PLAIN", b"IMAP4rev1"] {
        let mut out = SecretBuf::default();
        let id = [("x-originating-ip", "192.0.2.1")];
        let mut login = Login::begin(capabilities, &credential, &ClientId::default(), &id, &mut out).unwrap();
        for piece in data.chunks(usize::from(mode >> 2) + 1) {
            login.feed(piece);
            match login.step(&mut out) {
                Ok(LoginStep::Need | LoginStep::Challenged(_)) => {}
                Ok(LoginStep::Accepted(_)) => {
                    let upper = data.to_ascii_uppercase();
                    assert!(upper.split(|b| *b == b'\n').any(|line| line.starts_with(b"L OK")));
                    break;
                }
                Ok(LoginStep::Refused { .. }) | Err(_) => break,
            }
        }
    }
}

/// Both directions after login: however they are split, the same goes on, and nothing that must not.
pub fn tracker(data: &[u8]) {
    let (step, data) = split_byte(data);
    let whole = relay(data, usize::MAX);
    let pieces = relay(data, usize::from(step % 16) + 1);
    assert_eq!(whole, pieces);
    whole.check();
}

/// The PROXY header: not one octet is taken that is not its own.
pub fn proxy_header(data: &[u8]) {
    const CAP: usize = 16 * 1024;
    let mut reader = Reader::new(CAP);
    let mut taken = 0;
    loop {
        match reader.progress() {
            Err(_) | Ok(Progress::Done(_)) => break,
            Ok(Progress::Need(most)) => {
                assert!(most > 0 && taken + most <= CAP);
                let Some(next) = data.get(taken..).filter(|rest| !rest.is_empty()) else { break };
                let next = &next[..most.min(next.len())];
                reader.feed(next);
                taken += next.len();
            }
        }
    }
}

fn split_byte(data: &[u8]) -> (u8, &[u8]) {
    data.split_first().map_or((0, data), |(first, rest)| (*first, rest))
}

/// Requests: however they are split they mean the same, nothing is made up, and what is held back is bounded.
pub fn http_request(data: &[u8]) {
    let (step, data) = split_byte(data);
    let read = |piece: usize| {
        let (mut reader, mut out, mut taken) =
            (RequestReader::new(Caps::REQUEST, Scheme::Https), Vec::new(), 0);
        for part in data.chunks(piece) {
            match reader.read(part, &mut out) {
                Ok(step) => taken += step,
                Err(fault) => return (Some(fault), out, reader.heads()),
            }
            assert!(
                out.len() <= taken && taken - out.len() <= Caps::REQUEST.head + 2,
                "{taken} {}",
                out.len()
            );
        }
        (None, out, reader.heads())
    };
    let (whole, pieces) = (read(usize::MAX), read(usize::from(step % 16) + 1));
    assert_eq!((whole.0, whole.2), (pieces.0, pieces.2));
    // Octets that came with a fault in a body go on together, or not at all.
    assert!(pieces.1.starts_with(&whole.1));
    let forgiven = data.strip_prefix(b"\r\n").unwrap_or(data);
    // What came in absolute form goes on in origin form.
    let target = forgiven.split(|b| *b == b' ').nth(1).unwrap_or_default();
    let is_absolute = !matches!(target.first(), Some(b'/' | b'*'));
    assert!(whole.2 > 1 || is_absolute || data.starts_with(&pieces.1) || forgiven.starts_with(&pieces.1));
    if whole.2 > 0 && whole.0.is_none() {
        // A codec of another's reads as many fields, and the same target.
        let mut fields = [httparse::EMPTY_HEADER; Caps::REQUEST.fields + 1];
        let mut request = httparse::Request::new(&mut fields);
        let parsed = request.parse(&whole.1).expect("a good head is one for others as well");
        assert!(parsed.is_complete());
        assert!(request.path.is_some_and(|path| !path.contains('#') && path.parse::<http::Uri>().is_ok()));
        let fields = request.headers.iter().map(|field| (field.name, field.value));
        assert_same_fields(fields, &whole.1, data);
    }
    // Whoever takes heads and bodies apart, step by step, gets the same ones and the same fault.
    let taken_apart = |piece: usize| {
        let (mut reader, mut received) =
            (RequestReader::new(Caps::REQUEST, Scheme::Https), Received::default());
        for part in data.chunks(piece) {
            let mut rest = part;
            while !rest.is_empty() {
                match reader.read(rest, &mut received) {
                    Ok(0) => return (None, received),
                    Ok(taken) => rest = rest.get(taken..).unwrap_or_default(),
                    Err(fault) => return (Some(fault), received),
                }
            }
        }
        (None, received)
    };
    let (at_once, in_pieces) = (taken_apart(usize::MAX), taken_apart(usize::from(step % 16) + 1));
    assert_eq!((at_once.0, at_once.1.heads.len()), (in_pieces.0, in_pieces.1.heads.len()));
    assert_eq!((at_once.0, at_once.1.heads.len() as u64), (whole.0, whole.2));
    assert!(at_once.0.is_some() || at_once.1.data == in_pieces.1.data);
}

/// The first head is taken apart as another codec does it.
fn assert_same_fields<'f>(fields: impl Iterator<Item = (&'f str, &'f [u8])>, head: &[u8], data: &[u8]) {
    let (mut reader, mut received) = (RequestReader::new(Caps::REQUEST, Scheme::Https), Received::default());
    if !head.starts_with(b"HTTP/") {
        let _ = reader.read(data, &mut received);
    } else {
        let mut reader = ResponseReader::default();
        reader.expect(Expected::Any);
        let _ = reader.read(data, &mut received);
    }
    let Some(head) = received.heads.pop_front() else { return };
    let shown = |name: &[u8], value: &[u8]| (name.to_vec(), value.trim_ascii().to_vec());
    let ours = head.fields().map(|(name, value)| shown(&head.bytes[name], &head.bytes[value]));
    let theirs = fields.map(|(name, value)| shown(name.as_bytes(), value));
    assert!(ours.eq(theirs));
    let bytes = bytes::Bytes::from(head.bytes.clone());
    assert!(usher_backends::http::headers(&bytes, head.fields()).is_some());
}

/// Responses: however they are split they mean the same.
pub fn http_response(data: &[u8]) {
    let (step, data) = split_byte(data);
    let expected = if step & 1 == 0 { Expected::Any } else { Expected::HeadOnly };
    let read = |piece: usize| {
        let (mut reader, mut out) = (ResponseReader::default(), Vec::new());
        reader.expect(expected);
        let fault = data.chunks(piece).try_for_each(|part| reader.read(part, &mut out)).err();
        assert!(out.len() <= data.len());
        (fault, out)
    };
    let (whole, pieces) = (read(usize::MAX), read(usize::from(step % 16) + 1));
    assert_eq!(whole.0, pieces.0);
    assert!(pieces.1.starts_with(&whole.1));
    if !whole.1.is_empty() {
        // A codec of another's takes what was found good.
        let mut fields = [httparse::EMPTY_HEADER; Caps::RESPONSE.fields + 1];
        let mut response = httparse::Response::new(&mut fields);
        assert!(response.parse(&whole.1).expect("a good head is one for others as well").is_complete());
        let fields = response.headers.iter().map(|field| (field.name, field.value));
        assert_same_fields(fields, &whole.1, data);
    }
    let taken_apart = |piece: usize| {
        let (mut reader, mut received) = (ResponseReader::default(), Received::default());
        reader.expect(expected);
        let fault = data.chunks(piece).try_for_each(|part| reader.read(part, &mut received)).err();
        (fault, received)
    };
    let (at_once, in_pieces) = (taken_apart(usize::MAX), taken_apart(usize::from(step % 16) + 1));
    assert_eq!((at_once.0, at_once.1.heads.len()), (in_pieces.0, in_pieces.1.heads.len()));
    assert_eq!(at_once.0, whole.0);
    assert!(at_once.0.is_some() || at_once.1.data == in_pieces.1.data);
    assert!(at_once.0.is_some() || at_once.1.trailers == in_pieces.1.trailers);
}

/// Frames: however they are split, they mean the same; what is said is made of whole frames, and keeps to the client's
/// windows.
pub fn http2_frames(data: &[u8]) {
    let (step, data) = split_byte(data);
    let whole = streams::converse(data, usize::MAX);
    let pieces = streams::converse(data, usize::from(step % 16) + 1);
    assert_eq!(whole, pieces);
}

/// Values of fields: one with a blank at either end is seen, so that nobody who takes it off reads another value.
pub fn field(data: &[u8]) {
    let is_blank = |b: &u8| matches!(b, b' ' | b'\t');
    let from = data.iter().take_while(|b| is_blank(b)).count();
    let end = data.iter().rev().take_while(|b| is_blank(b)).count();
    assert_eq!(usher_wire::http::field::ends_in_blanks(data), from + end > 0);
    // The guard of HTTP/1 takes them off, and what is left has none.
    let head = [b"GET / HTTP/1.1\r\nhost: h\r\nconnection: close\r\nexpect:", data, b"\r\n\r\n"].concat();
    let (mut reader, mut out) = (RequestReader::new(Caps::REQUEST, Scheme::Https), Vec::new());
    if reader.read(&head, &mut out).is_ok() && !data.contains(&b'\n') {
        let expected: Vec<u8> = data.iter().copied().skip(from).collect();
        let expected = expected.trim_ascii_end();
        assert!(expected.eq_ignore_ascii_case(b"100-continue"), "{expected:?}");
    }
}

/// Paths: a normal form has nothing in it that leads elsewhere.
pub fn path(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Some(normal) = usher_wire::http::path::normalise(text) else { return };
    assert!(normal.starts_with('/') && !normal.contains("//") && !normal.contains('\\'));
    assert!(normal.split('/').all(|segment| !matches!(segment, "." | "..")));
    assert!(!normal.bytes().any(|octet| octet.is_ascii_control()));
}
