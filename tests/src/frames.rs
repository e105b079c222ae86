//! HTTP/2 as octets: frames that a test makes by hand, and those that come back.

use crate::client::{Client, config_with_alpn};
use std::net::SocketAddr;

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const PRIORITY: u8 = 2;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const WINDOW_UPDATE: u8 = 8;
pub const CONTINUATION: u8 = 9;

pub const END_STREAM: u8 = 1;
pub const END_HEADERS: u8 = 4;

/// PROTOCOL_ERROR.
pub const PROTOCOL_ERROR: u32 = 1;

/// A frame.
#[derive(Debug, Clone)]
pub struct Frame {
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
    pub payload: Vec<u8>,
}

/// A frame as octets.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u32).to_be_bytes();
    let mut octets = vec![length[1], length[2], length[3], kind, flags];
    octets.extend_from_slice(&stream.to_be_bytes());
    octets.extend_from_slice(payload);
    octets
}

/// Fields in HPACK, each a literal that is not indexed (RFC 7541 section 6.2.2).
pub fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut octets = Vec::new();
    for (name, value) in fields {
        octets.push(0);
        for text in [name, value] {
            length(&mut octets, text.len());
            octets.extend_from_slice(text.as_bytes());
        }
    }
    octets
}

/// A length with a prefix of seven bits (RFC 7541 section 5.1).
fn length(octets: &mut Vec<u8>, length: usize) {
    if length < 127 {
        octets.push(length as u8);
        return;
    }
    octets.push(127);
    let mut rest = length - 127;
    while rest >= 128 {
        octets.push((rest % 128 + 128) as u8);
        rest /= 128;
    }
    octets.push(rest as u8);
}

/// The pseudo-header fields of a GET, and `more`.
pub fn get_block(path: &str, more: &[(&str, &str)]) -> Vec<u8> {
    let fields = [(":method", "GET"), (":scheme", "https"), (":authority", "mail.test"), (":path", path)];
    block(&[&fields, more].concat())
}

/// A connection on which HTTP/2 was negotiated; its preface and settings are sent.
pub fn connect(address: SocketAddr) -> Client {
    connect_with(address, &[])
}

/// The same with these settings.
pub fn connect_with(address: SocketAddr, settings: &[(u16, u32)]) -> Client {
    let mut client = Client::plain(address);
    client.start_tls(config_with_alpn(&["h2"]));
    assert_eq!(client.connection().alpn_protocol(), Some(b"h2".as_slice()));
    let settings: Vec<u8> = settings
        .iter()
        .flat_map(|(id, value)| [&id.to_be_bytes()[..], &value.to_be_bytes()[..]].concat())
        .collect();
    client.send([b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", frame(SETTINGS, 0, 0, &settings).as_slice()].concat());
    client
}

impl Client {
    /// The next frame.
    pub fn frame(&mut self) -> Frame {
        let head = self.octets(9);
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        Frame { kind: head[3], flags: head[4], stream, payload: self.octets(length) }
    }

    /// The next frame on `stream`, or the one that ends the connection.
    pub fn frame_of(&mut self, stream: u32) -> Frame {
        loop {
            let frame = self.frame();
            if frame.kind == GOAWAY || frame.stream == stream && frame.kind != WINDOW_UPDATE {
                return frame;
            }
        }
    }

    /// The status that answers `stream`, or the code of the reset or GOAWAY that does.
    pub fn outcome(&mut self, stream: u32) -> Result<u16, u32> {
        let frame = self.frame_of(stream);
        let code = |at: usize| u32::from_be_bytes(frame.payload[at..at + 4].try_into().unwrap());
        match frame.kind {
            HEADERS => Ok(status(&frame.payload)),
            RST_STREAM => Err(code(0)),
            GOAWAY => Err(code(4)),
            _ => panic!("{frame:?}"),
        }
    }
}

/// The status at the beginning of a block (RFC 7541, appendix A and section 6).
fn status(block: &[u8]) -> u16 {
    match block[0] {
        octet @ 0x88..=0x8e => [200, 204, 206, 304, 400, 404, 500][usize::from(octet - 0x88)],
        // A literal with the name of entry 8, its value of three digits plain or in Huffman's code.
        0x48 | 0x08 | 0x18 if block[1] == 3 => String::from_utf8_lossy(&block[2..5]).parse().unwrap(),
        0x48 | 0x08 | 0x18 => huffman_digits(&block[2..2 + usize::from(block[1] & 0x7f)]),
        other => panic!("no status: {other:#x}"),
    }
}

/// Three digits in Huffman's code (RFC 7541, appendix B): 0 to 2 have five bits, the others six.
fn huffman_digits(octets: &[u8]) -> u16 {
    let bits: Vec<u8> = octets.iter().flat_map(|octet| (0..8).rev().map(move |at| octet >> at & 1)).collect();
    let (mut at, mut number) = (0, 0);
    for _ in 0..3 {
        let read =
            |count: usize| bits[at..at + count].iter().fold(0_u16, |value, bit| value << 1 | u16::from(*bit));
        let (digit, length) = match read(5) {
            short @ 0..=2 => (short, 5),
            _ => (read(6) - 0x19 + 3, 6),
        };
        number = number * 10 + digit;
        at += length;
    }
    number
}
