use super::frame::*;
use super::hpack::encode_field;
use super::*;
use std::time::Duration;

const LIMITS: Limits = Limits { streams: 3, head: 2000, fields: 60, window: 100_000 };
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A client's connection, on which nothing is answered by itself.
struct Talk {
    connection: Connection<()>,
    events: Vec<Event>,
    fault: Option<ConnectionFault>,
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    put(&mut out, kind, flags, stream, payload);
    out
}

fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut out = Vec::new();
    fields.iter().for_each(|(name, value)| encode_field(name, value.as_bytes(), &mut out));
    out
}

const GET: [(&str, &str); 4] =
    [(":method", "GET"), (":scheme", "https"), (":path", "/"), (":authority", "h.test")];
const POST: [(&str, &str); 4] =
    [(":method", "POST"), (":scheme", "https"), (":path", "/"), (":authority", "h.test")];

fn get(stream: u32) -> Vec<u8> {
    frame(HEADERS, END_HEADERS | END_STREAM, stream, &block(&GET))
}

/// A request whose body is to come.
fn post(stream: u32) -> Vec<u8> {
    frame(HEADERS, END_HEADERS, stream, &block(&POST))
}

fn request(stream: u32, fields: &[(&str, &str)]) -> Vec<u8> {
    frame(HEADERS, END_HEADERS | END_STREAM, stream, &block(fields))
}

fn window(stream: u32, by: u32) -> Vec<u8> {
    frame(WINDOW_UPDATE, 0, stream, &by.to_be_bytes())
}

fn settings(id: u16, value: u32) -> Vec<u8> {
    frame(SETTINGS, 0, 0, &[&id.to_be_bytes()[..], &value.to_be_bytes()[..]].concat())
}

impl Talk {
    fn new() -> Self {
        let mut talk = Self { connection: Connection::new(LIMITS), events: Vec::new(), fault: None };
        talk.says(PREFACE);
        talk.says(&frame(SETTINGS, 0, 0, &[]));
        talk.heard();
        talk
    }

    fn says(&mut self, bytes: &[u8]) -> &mut Self {
        if self.fault.is_none() {
            self.fault = self.connection.read(bytes, Duration::ZERO, &mut self.events).err();
        }
        self
    }

    /// What has been said to the client since the last time.
    fn heard(&mut self) -> Vec<(Header, Vec<u8>)> {
        let out = std::mem::take(&mut self.connection.out);
        let mut rest = &out[..];
        let mut frames = Vec::new();
        while let Some((header, after)) = rest.split_first_chunk() {
            let header = Header::read(*header);
            frames.push((header, after[..header.length].to_vec()));
            rest = &after[header.length..];
        }
        frames
    }

    /// How the last thing said ended: the connection or a stream, and why.
    fn ended(&mut self) -> Ended {
        let code = |bytes: &[u8]| u32::from_be_bytes(bytes.try_into().unwrap());
        self.heard().iter().fold(Not, |ended, (header, payload)| match header.kind {
            GOAWAY => Whole(code(&payload[4..])),
            RST_STREAM => One(header.stream, code(payload)),
            _ => ended,
        })
    }

    fn requests(&self) -> Vec<u32> {
        let stream = |event: &Event| match event {
            Event::Request(stream, _) => Some(*stream),
            _ => None,
        };
        self.events.iter().filter_map(stream).collect()
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Ended {
    Not,
    Connection(u32),
    Stream(u32, u32),
}

use Ended::{Connection as Whole, Not, Stream as One};

const PROTOCOL: u32 = 1;
const FLOW: u32 = 3;
const CLOSED: u32 = 5;
const SIZE: u32 = 6;
const COMPRESSION: u32 = 9;

#[test]
fn a_frame_that_breaks_the_rules_ends_what_it_breaks() {
    let with = |more: &[(&'static str, &'static str)]| [&GET[..], more].concat();
    let data = |flags, stream, payload: &[u8]| frame(DATA, flags, stream, payload);
    let rest = |flags, stream| frame(CONTINUATION, flags, stream, &block(&[("a", "b")]));
    let open = |stream| frame(HEADERS, END_STREAM, stream, &block(&GET));
    let reset = |stream: u32| frame(RST_STREAM, 0, stream, &[0, 0, 0, 8]);
    let cases: Vec<(&str, Vec<u8>, Ended)> = vec![
        ("4.1 an unknown kind", frame(0xbb, 0xff, 9, b"whatever"), Not),
        ("4.1 unknown flags", frame(PING, 0xfe, 0, &[0; 8]), Not),
        ("4.1 a reserved bit", [&frame(PING, 0, 1 << 31, &[0; 8])[..], &get(1)].concat(), Not),
        ("4.2 too large", data(0, 1, &[0; LARGEST + 1]), Whole(SIZE)),
        ("4.3 unreadable", frame(HEADERS, END_HEADERS | END_STREAM, 1, &[0xff; 9]), Whole(COMPRESSION)),
        ("4.3 another frame within a block", [open(1), window(0, 1)].concat(), Whole(PROTOCOL)),
        ("4.3 an unknown frame within a block", [open(1), frame(0xbb, 0, 0, &[])].concat(), Whole(PROTOCOL)),
        ("5.1 DATA on an idle stream", data(END_STREAM, 1, b"x"), Whole(PROTOCOL)),
        ("5.1 RST_STREAM on an idle stream", reset(1), Whole(PROTOCOL)),
        ("5.1 WINDOW_UPDATE on an idle stream", window(1, 1), Whole(PROTOCOL)),
        ("5.1 CONTINUATION of nothing", rest(END_HEADERS, 1), Whole(PROTOCOL)),
        ("5.1 DATA behind the end", [get(1), data(0, 1, b"x")].concat(), One(1, CLOSED)),
        ("5.1 HEADERS behind the end", [get(1), get(1)].concat(), One(1, CLOSED)),
        ("5.1 CONTINUATION behind the end", [get(1), rest(END_HEADERS, 1)].concat(), Whole(PROTOCOL)),
        ("5.1 DATA behind a reset", [post(1), reset(1), data(0, 1, b"x")].concat(), One(1, CLOSED)),
        ("5.1 HEADERS behind a reset", [post(1), reset(1), get(1)].concat(), Whole(CLOSED)),
        ("5.1 WINDOW_UPDATE behind a reset", [post(1), reset(1), window(1, 1)].concat(), Not),
        ("5.1.1 an even stream", get(2), Whole(PROTOCOL)),
        ("5.1.1 a smaller one", [get(5), get(3)].concat(), Whole(PROTOCOL)),
        ("5.1.2 one too many", [post(1), post(3), post(5), post(7)].concat(), One(7, 7)),
        (
            "5.3.1 its own parent",
            frame(HEADERS, END_HEADERS | END_STREAM | 0x20, 1, &[&[0, 0, 0, 1, 0], &*block(&GET)].concat()),
            One(1, PROTOCOL),
        ),
        ("5.3.1 its own parent, idle", frame(PRIORITY, 0, 1, &[0, 0, 0, 1, 0]), Whole(PROTOCOL)),
        ("6.1 DATA on the connection", data(0, 0, b"x"), Whole(PROTOCOL)),
        ("6.1 padding beyond the end", [post(1), data(PADDED, 1, &[5, 0, 0])].concat(), Whole(PROTOCOL)),
        ("6.1 nothing but padding", [post(1), data(PADDED, 1, &[2, 0, 0])].concat(), Not),
        ("6.2 HEADERS on the connection", request(0, &GET), Whole(PROTOCOL)),
        ("6.2 HEADERS within a block", [open(1), get(3)].concat(), Whole(PROTOCOL)),
        ("6.2 padding beyond the end", frame(HEADERS, END_HEADERS | PADDED, 1, &[9, 0x82]), Whole(PROTOCOL)),
        ("6.3 PRIORITY on the connection", frame(PRIORITY, 0, 0, &[0; 5]), Whole(PROTOCOL)),
        ("6.3 too short", frame(PRIORITY, 0, 1, &[0; 4]), Whole(SIZE)),
        ("6.3 on an idle stream", frame(PRIORITY, 0, 1, &[0, 0, 0, 3, 1]), Not),
        ("6.4 RST_STREAM on the connection", reset(0), Whole(PROTOCOL)),
        ("6.4 too short", [post(1), frame(RST_STREAM, 0, 1, &[0; 3])].concat(), Whole(SIZE)),
        ("6.5 an answer with something in it", frame(SETTINGS, ACK, 0, &[0; 6]), Whole(SIZE)),
        ("6.5 SETTINGS on a stream", frame(SETTINGS, 0, 1, &[]), Whole(PROTOCOL)),
        ("6.5 half a setting", frame(SETTINGS, 0, 0, &[0; 3]), Whole(SIZE)),
        ("6.5.2 a push that is neither on nor off", settings(2, 2), Whole(PROTOCOL)),
        ("6.5.2 too large a window", settings(4, 1 << 31), Whole(FLOW)),
        ("6.5.2 too small a frame", settings(5, 16_383), Whole(PROTOCOL)),
        ("6.5.2 too large a frame", settings(5, 1 << 24), Whole(PROTOCOL)),
        ("6.5.2 the largest frame", settings(5, (1 << 24) - 1), Not),
        ("6.5.2 an unknown setting", settings(0xff, 1), Not),
        ("6.6 PUSH_PROMISE", frame(PUSH_PROMISE, END_HEADERS, 1, &[0; 8]), Whole(PROTOCOL)),
        ("6.7 PING on a stream", frame(PING, 0, 1, &[0; 8]), Whole(PROTOCOL)),
        ("6.7 too short", frame(PING, 0, 0, &[0; 7]), Whole(SIZE)),
        ("6.8 GOAWAY on a stream", frame(GOAWAY, 0, 1, &[0; 8]), Whole(PROTOCOL)),
        ("6.8 too short", frame(GOAWAY, 0, 0, &[0; 7]), Whole(SIZE)),
        ("6.9 by nothing", window(0, 0), Whole(PROTOCOL)),
        ("6.9 by nothing, on a stream", [get(1), window(1, 0)].concat(), One(1, PROTOCOL)),
        ("6.9 too short", frame(WINDOW_UPDATE, 0, 0, &[0; 3]), Whole(SIZE)),
        ("6.9.1 beyond the largest", window(0, (1 << 31) - 1), Whole(FLOW)),
        ("6.9.1 beyond the largest, on a stream", [get(1), window(1, (1 << 31) - 1)].concat(), One(1, FLOW)),
        (
            "6.9.2 beyond the largest, by a setting",
            [get(1), window(1, (1 << 31) - 1 - 65_535), settings(4, 65_536)].concat(),
            Whole(FLOW),
        ),
        ("6.9 more than was allowed", [post(1), data(0, 1, &[0; 16_000]).repeat(7)].concat(), One(1, FLOW)),
        ("6.10 in pieces", [open(1), rest(0, 1), rest(END_HEADERS, 1)].concat(), Not),
        ("6.10 on another stream", [open(1), rest(END_HEADERS, 3)].concat(), Whole(PROTOCOL)),
        ("6.10 on the connection", [open(1), rest(END_HEADERS, 0)].concat(), Whole(PROTOCOL)),
        (
            "6.10 without an end",
            [open(1), frame(CONTINUATION, 0, 1, &[0; 16_000]).repeat(2)].concat(),
            Whole(11),
        ),
        ("8.1 trailers without an end", [post(1), post(1)].concat(), One(1, PROTOCOL)),
        ("8.1 a trailer that begins with a colon", [post(1), get(1)].concat(), One(1, PROTOCOL)),
        ("8.1.1 longer than said", [post_of("1"), data(END_STREAM, 1, b"xx")].concat(), One(1, PROTOCOL)),
        ("8.1.1 shorter than said", [post_of("3"), data(END_STREAM, 1, b"xx")].concat(), One(1, PROTOCOL)),
        ("8.1.1 as long as said", [post_of("2"), data(0, 1, b"x"), data(END_STREAM, 1, b"x")].concat(), Not),
        ("8.1.1 nothing of what was said", request(1, &with(&[("content-length", "1")])), One(1, PROTOCOL)),
        (
            "8.1.1 two lengths",
            request(1, &with(&[("content-length", "0"), ("content-length", "1")])),
            One(1, 1),
        ),
        ("8.2 upper case", request(1, &with(&[("Abc", "d")])), One(1, PROTOCOL)),
        ("8.2 no name", request(1, &with(&[("", "d")])), One(1, PROTOCOL)),
        ("8.2 no token", request(1, &with(&[("a b", "d")])), One(1, PROTOCOL)),
        ("8.2 a line end", request(1, &with(&[("a", "b\r\nc: d")])), One(1, PROTOCOL)),
        ("8.2 NUL", request(1, &with(&[("a", "b\0")])), One(1, PROTOCOL)),
        ("8.2.2 of the connection", request(1, &with(&[("connection", "close")])), One(1, PROTOCOL)),
        ("8.2.2 a coding", request(1, &with(&[("transfer-encoding", "chunked")])), One(1, PROTOCOL)),
        ("8.2.2 te", request(1, &with(&[("te", "gzip")])), One(1, PROTOCOL)),
        ("8.2.2 te of trailers", request(1, &with(&[("te", "trailers")])), Not),
        ("8.3 unknown", request(1, &with(&[(":test", "x")])), One(1, PROTOCOL)),
        ("8.3 of a response", request(1, &[&[(":status", "200")], &GET[..]].concat()), One(1, PROTOCOL)),
        ("8.3 behind others", request(1, &with(&[("a", "b"), (":path", "/")])), One(1, PROTOCOL)),
        ("8.3.1 no method", request(1, &GET[1..]), One(1, PROTOCOL)),
        ("8.3.1 no scheme", request(1, &[GET[0], GET[2], GET[3]]), One(1, PROTOCOL)),
        ("8.3.1 no path", request(1, &[GET[0], GET[1], GET[3]]), One(1, PROTOCOL)),
        ("8.3.1 an empty path", request(1, &[GET[0], GET[1], (":path", "")]), One(1, PROTOCOL)),
        ("8.3.1 two methods", request(1, &[&GET[..1], &GET[..]].concat()), One(1, PROTOCOL)),
        ("8.3.1 two paths", request(1, &with(&[(":path", "/")])), One(1, PROTOCOL)),
        ("8.5 CONNECT", request(1, &[(":method", "CONNECT"), (":authority", "h:1")]), Not),
        (
            "8.5 CONNECT with a path",
            request(1, &[&[(":method", "CONNECT")], &GET[1..]].concat()),
            One(1, PROTOCOL),
        ),
        (
            "RFC 8441 a protocol without CONNECT",
            request(1, &with(&[(":protocol", "websocket")])),
            One(1, PROTOCOL),
        ),
    ];
    for (name, bytes, expected) in cases {
        let mut talk = Talk::new();
        talk.says(&bytes);
        assert_eq!(talk.ended(), expected, "{name}");
        // Whatever happened, it is counted as it was said.
        let is_whole = matches!(expected, Whole(_));
        assert_eq!(talk.fault.is_some(), is_whole, "{name}");
        if !is_whole {
            talk.says(&frame(PING, 0, 0, b"12345678"));
            assert!(
                talk.heard().iter().any(|(header, answer)| header.kind == PING && answer == b"12345678"),
                "{name}"
            );
        }
    }
}

/// A request that says how long its body is.
fn post_of(length: &str) -> Vec<u8> {
    frame(HEADERS, END_HEADERS, 1, &block(&[&POST[..], &[("content-length", length)]].concat()))
}

#[test]
fn the_beginning_is_what_it_must_be() {
    for first in [&b"GET / HTTP/1.1\r\n\r\n"[..], b"PRI * HTTP/2.0\r\n\r\nSM\r\n\rX"] {
        let mut connection = Connection::<()>::new(LIMITS);
        assert!(connection.read(first, Duration::ZERO, &mut Vec::new()).is_err());
    }
    for first in [frame(PING, 0, 0, &[0; 8]), frame(SETTINGS, ACK, 0, &[])] {
        let mut connection = Connection::<()>::new(LIMITS);
        let read = connection.read(&[PREFACE, &first].concat(), Duration::ZERO, &mut Vec::new());
        assert_eq!(read, Err(ConnectionFault::Broken(ErrorCode::PROTOCOL_ERROR)));
        assert!(connection.has_begun());
    }
}

#[test]
fn a_response_keeps_to_the_windows() {
    let mut talk = Talk::new();
    talk.says(&settings(4, 10)).says(&get(1)).says(&get(3));
    talk.heard();
    assert!(talk.connection.send_head(1, 200, [("a", &b"b"[..])].into_iter(), false));
    assert_eq!(talk.connection.room(1), Some(10));
    assert_eq!(talk.connection.send_data(1, &[0; 20], true), 10);
    assert_eq!(talk.connection.send_data(1, &[0; 10], true), 0);
    // A window may become negative (RFC 9113 section 6.9.2).
    talk.says(&settings(4, 3));
    assert_eq!(talk.connection.room(1), Some(0));
    talk.says(&window(1, 7));
    assert!(!matches!(talk.events.last(), Some(Event::Writable(1))), "it is nothing yet");
    talk.says(&window(1, 10));
    assert!(matches!(talk.events.last(), Some(Event::Writable(1))));
    assert_eq!(talk.connection.send_data(1, &[0; 10], true), 10);
    assert_eq!(talk.connection.send_data(1, b"more", true), 0, "behind the end");
    let flags: Vec<_> = talk
        .heard()
        .iter()
        .filter(|(header, _)| header.kind == DATA)
        .map(|(header, _)| header.flags)
        .collect();
    assert_eq!(flags, [0, END_STREAM]);
    talk.connection.release(1);
    assert_eq!(talk.ended(), Not, "both sides have said all");
    // All streams share the connection's.
    talk.says(&settings(4, 1 << 20));
    assert_eq!(talk.connection.room(3), Some(65_535 - 20));
    assert_eq!(talk.connection.send_data(3, &vec![0; 70_000], true), 65_515);
    assert!(talk.connection.is_held_back());
    talk.says(&window(0, 1));
    assert!(matches!(talk.events.last(), Some(Event::ConnectionWritable)));
}

#[test]
fn a_body_is_allowed_as_it_is_taken() {
    let mut talk = Talk::new();
    talk.says(&post(1));
    talk.heard();
    let piece = frame(DATA, 0, 1, &[7; 16_000]);
    for _ in 0..6 {
        talk.says(&piece);
    }
    let allowed = |talk: &mut Talk| -> Vec<(u32, Vec<u8>)> {
        talk.heard()
            .into_iter()
            .filter(|(header, _)| header.kind == WINDOW_UPDATE)
            .map(|(header, by)| (header.stream, by))
            .collect()
    };
    assert!(allowed(&mut talk).is_empty(), "nobody has taken any");
    assert!(matches!(talk.connection.take(1), Received::Data(data) if data.len() == 96_000));
    assert_eq!(allowed(&mut talk), [(1, 96_000_u32.to_be_bytes().to_vec())]);
    talk.says(&frame(DATA, END_STREAM, 1, b"x"));
    assert!(!talk.connection.is_over(1));
    assert!(matches!(talk.connection.take(1), Received::Data(_)));
    assert!(talk.connection.is_over(1));
    assert!(matches!(talk.connection.take(1), Received::End));
    assert!(allowed(&mut talk).is_empty(), "nothing comes behind the end");
    // What nobody takes is not kept; the connection's window is opened again all the same.
    talk.says(&post(3));
    talk.connection.leave_unread(3);
    talk.says(&frame(DATA, 0, 3, &[7; 16_000]).repeat(5));
    let (stream, by) = allowed(&mut talk).pop().unwrap();
    assert_eq!((stream, by.len()), (0, 4));
    assert!(matches!(talk.connection.take(3), Received::Nothing));
    // One that is broken off gives nothing, even if something had come.
    talk.says(&post(5)).says(&frame(DATA, 0, 5, b"x")).says(&frame(RST_STREAM, 0, 5, &[0; 4]));
    assert!(matches!(talk.connection.take(5), Received::Broken));
}

#[test]
fn what_a_client_could_not_know_is_no_fault() {
    let mut talk = Talk::new();
    talk.says(&post(1));
    // Answered, and nobody needs the rest.
    talk.connection.send_head(1, 413, std::iter::empty(), true);
    talk.connection.release(1);
    assert_eq!(talk.ended(), One(1, 0));
    let rest = [frame(DATA, 0, 1, b"x"), frame(HEADERS, END_HEADERS | END_STREAM, 1, &block(&[("a", "b")]))];
    assert_eq!(talk.says(&rest.concat()).ended(), Not);
    // Left before it was answered.
    talk.says(&post(3));
    talk.connection.release(3);
    assert_eq!(talk.ended(), One(3, 8));
    assert_eq!(talk.says(&frame(DATA, 0, 3, b"x")).ended(), Not);
    // Refused.
    for stream in [5, 7, 9, 11] {
        talk.says(&post(stream));
    }
    assert_eq!(talk.ended(), One(11, 7));
    assert!(matches!(talk.events.last(), Some(Event::Refused)));
    assert_eq!(talk.says(&frame(DATA, END_STREAM, 11, b"x")).ended(), Not);
    // A place that becomes free is given again.
    talk.says(&frame(RST_STREAM, 0, 5, &[0; 4])).says(&get(13));
    assert_eq!(talk.requests(), [1, 3, 5, 7, 9, 13]);
}

#[test]
fn heads_have_their_limit_and_the_connection_goes_on() {
    let mut talk = Talk::new();
    let long = "v".repeat(1500);
    talk.says(&request(1, &[&GET[..], &[("a", &long), ("b", &long)]].concat()));
    assert!(matches!(talk.events.last(), Some(Event::TooLarge(1, false))));
    assert_eq!(talk.ended(), Not);
    talk.says(&get(3));
    assert_eq!(talk.requests(), [3]);
    // In pieces, and answered in pieces.
    let fields = block(&[&GET[..], &[("a", &long)]].concat());
    let (first, rest) = fields.split_at(700);
    talk.says(&frame(HEADERS, END_STREAM, 5, first));
    assert_eq!(talk.connection.awaits(), Some(2));
    talk.says(&frame(CONTINUATION, END_HEADERS, 5, rest)).heard();
    assert_eq!(talk.connection.awaits(), None);
    let long = vec![b'v'; 40_000];
    talk.connection.send_head(5, 200, [("a", &long[..])].into_iter(), true);
    let kinds: Vec<_> =
        talk.heard().iter().map(|(header, _)| (header.kind, header.flags, header.stream)).collect();
    assert_eq!(kinds, [(HEADERS, END_STREAM, 5), (CONTINUATION, 0, 5), (CONTINUATION, END_HEADERS, 5)]);
    // A client that wants a smaller table is told that there is none (RFC 7541 section 4.2).
    talk.says(&settings(1, 0)).says(&get(7)).heard();
    talk.connection.send_head(7, 204, std::iter::empty(), true);
    assert_eq!(talk.heard().pop().unwrap().1, [0x20, 0x89]);
}

#[test]
fn a_connection_is_left_without_losing_a_request() {
    let mut talk = Talk::new();
    talk.says(&get(1));
    talk.connection.leave();
    let said = talk.heard();
    assert_eq!(said[0].1[..4], (u32::MAX >> 1).to_be_bytes());
    let ping = said[1].1.clone();
    // Begun before the client knew.
    talk.says(&get(3)).says(&frame(PING, ACK, 0, &ping));
    assert_eq!(talk.heard()[0].1[..4], 3_u32.to_be_bytes());
    // Begun although it knew.
    talk.says(&post(5)).says(&frame(DATA, END_STREAM, 5, b"x"));
    assert_eq!((talk.requests(), talk.ended()), (vec![1, 3], Not));
    for stream in [1, 3] {
        assert!(!talk.connection.is_done());
        talk.connection.send_head(stream, 200, std::iter::empty(), true);
        talk.connection.release(stream);
    }
    assert!(talk.connection.is_done());
    // What goes wrong afterwards does not take back what was said.
    talk.says(&window(0, 0));
    assert_eq!(talk.heard().pop().unwrap().1[..4], 3_u32.to_be_bytes());
}

#[test]
fn a_flood_is_told_so_and_a_broken_connection_breaks_its_streams() {
    let mut talk = Talk::new();
    talk.says(&post(1));
    talk.says(&frame(PING, 0, 0, &[0; 8]).repeat(1100));
    assert_eq!(talk.fault, Some(ConnectionFault::Flooded));
    assert_eq!(talk.ended(), Whole(11));
    talk.connection.break_off(&mut talk.events);
    assert!(matches!(talk.events.last(), Some(Event::Reset(1))));
    assert!(talk.connection.is_reset(1));
    talk.connection.release(1);
    assert_eq!(talk.ended(), Not);
}
