//! HTTP/1 framing (RFC 9112), strictly: which bytes are a message and where it ends.
//!
//! Reads both directions. No part of a head is passed on before all of it has been found valid, so nobody behind this sees
//! a message that two servers could read differently. Knows nothing about a message but its framing.

mod chunked;
mod fields;
mod head;
mod request;
mod response;
mod sink;

pub use request::{Awaits, RequestReader, Scheme};
pub use response::{Expected, ResponseReader};
pub use sink::{Head, Sink};

/// How large a head may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caps {
    /// Bytes of a head, with its start line.
    pub head: usize,
    /// Fields of a head.
    pub fields: usize,
    /// Bytes of the target of a request.
    pub target: usize,
}

impl Caps {
    /// Defaults for requests. A backend that accepts a hundred fields has room for those that a proxy adds.
    pub const REQUEST: Self = Self { head: 32 * 1024, fields: 90, target: 8 * 1024 };
    /// Those of responses, which come from a trusted backend.
    pub const RESPONSE: Self = Self { head: 128 * 1024, fields: 200, target: 16 * 1024 };
}

/// Longest method in bytes.
pub const METHOD_CAP: usize = 32;

/// Why a message is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It is not a valid message, or could be read in two ways; the word says where.
    Malformed(&'static str),
    /// TRACE or CONNECT.
    Method,
    /// The target is longer than it may be.
    TargetTooLong,
    /// Something is expected that is not `100-continue` (RFC 9110 section 10.1.1).
    Expectation,
    /// The head is longer than it may be, or has more fields.
    HeadTooLarge,
    /// A transfer coding other than `chunked`.
    Coding,
    /// Neither HTTP/1.1 nor HTTP/1.0.
    Version,
}

impl Fault {
    /// The status that a client gets for it.
    pub fn status(self) -> u16 {
        match self {
            Self::Malformed(_) => 400,
            Self::Method => 405,
            Self::TargetTooLong => 414,
            Self::Expectation => 417,
            Self::HeadTooLarge => 431,
            Self::Coding => 501,
            Self::Version => 505,
        }
    }

    /// A word of a closed set, for logs and labels.
    pub fn name(self) -> &'static str {
        match self {
            Self::Malformed(where_) => where_,
            Self::Method => "method",
            Self::TargetTooLong => "target-too-long",
            Self::Expectation => "expectation",
            Self::HeadTooLarge => "head-too-large",
            Self::Coding => "transfer-coding",
            Self::Version => "version",
        }
    }
}

/// How long a body is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Framing {
    /// So many bytes.
    Sized(u64),
    /// In chunks.
    Chunked,
    /// To the end of the connection.
    UntilClose,
}
