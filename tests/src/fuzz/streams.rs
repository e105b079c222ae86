//! A client's frames, and a server that answers every request.

use std::time::Duration;
use usher_wire::http2::{Connection, ConnectionFault, Event, Limits, Received};

const LIMITS: Limits = Limits { streams: 8, head: 4096, fields: 50, window: 70_000 };
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];

/// What a conversation came to.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Outcome {
    events: Vec<String>,
    bodies: Vec<u8>,
    fault: Option<ConnectionFault>,
    said: Vec<u8>,
}

/// Plays a client that sends `data` in pieces of this size, behind what every client sends first.
pub(super) fn converse(data: &[u8], piece: usize) -> Outcome {
    let mut connection = Connection::<()>::new(LIMITS);
    let mut outcome = Outcome { events: Vec::new(), bodies: Vec::new(), fault: None, said: Vec::new() };
    let first = if data.starts_with(PREFACE) { Vec::new() } else { [PREFACE, SETTINGS].concat() };
    let mut streams = Vec::new();
    for part in std::iter::once(&*first).chain(data.chunks(piece)) {
        let mut events = Vec::new();
        let read = connection.read(part, Duration::ZERO, &mut events);
        for event in events {
            match &event {
                Event::Request(stream, head) => {
                    outcome.bodies.extend_from_slice(&head.fields.bytes);
                    streams.push(*stream);
                }
                Event::TooLarge(stream, _) => streams.push(*stream),
                _ => {}
            }
            outcome.events.push(format!("{event:?}"));
        }
        if let Err(fault) = read {
            outcome.fault = Some(fault);
            break;
        }
    }
    for stream in &streams {
        while let Received::Data(data) = connection.take(*stream) {
            outcome.bodies.extend(data);
        }
        let fields = [("content-type", &b"text/plain"[..]), ("x-long", &*vec![b'x'; 20_000])];
        connection.send_head(*stream, 200, fields.into_iter(), false);
        let room = connection.room(*stream).unwrap_or(0);
        assert!(connection.send_data(*stream, &vec![b'd'; 40_000], true) <= room);
        connection.release(*stream);
    }
    assert!(connection.is_idle());
    outcome.said = std::mem::take(&mut connection.out);
    check_frames(&outcome.said);
    outcome
}

/// Panics unless `said` is whole frames.
fn check_frames(mut said: &[u8]) {
    while let Some((head, rest)) = said.split_first_chunk::<9>() {
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        assert!(length <= 16_384 && head[3] <= 9, "{head:?}");
        said = &rest[length..];
    }
    assert!(said.is_empty());
}
