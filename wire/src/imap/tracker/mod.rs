//! Both directions of an IMAP connection after login, followed just closely enough.
//!
//! On the server's side the tracker knows where responses end, so that something may be inserted between two of them.
//! On the client's side it knows tags, literals and IDLE, so that a command which would bypass the routing is answered
//! here and never reaches the backend. It keeps no bytes: what cannot be judged yet stays with the caller, who offers
//! it again together with what comes next.

mod braces;
mod client;
mod follow;
mod server;

pub use crate::follow::{Moved, Out, Rest};

use super::command::TAG_CAP;
use client::Client;
use server::Server;
use std::collections::VecDeque;

/// Most bytes that either direction leaves with the caller until more has come: one capability line.
pub const UNJUDGED_CAP: usize = 8 * 1024;
/// Bytes of a line that are enough to know its kind, however long its tag is.
const HEAD_CAP: usize = TAG_CAP + 40;
/// Unanswered commands beyond which the client's next ones wait.
const OPEN_CAP: usize = 256;
/// Bytes of usher's own answers beyond which the client's next commands wait.
const ANSWERS_CAP: usize = 4096;

/// What a peer did that ends the session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The client: NUL or a bare CR in a command line.
    ControlOctet,
    /// The client: digits of a literal that servers read differently, so that nobody could know what the backend takes
    /// for a command.
    AmbiguousLiteral,
    /// The client: an endless line where a short one is due, or a broken ID.
    Endless,
    /// The backend: a line of capabilities or a continuation over [`UNJUDGED_CAP`].
    LineTooLong,
}

impl Fault {
    /// A word of a closed set, for logs and labels.
    pub fn name(self) -> &'static str {
        match self {
            Self::ControlOctet => "control-octet",
            Self::AmbiguousLiteral => "ambiguous-literal",
            Self::Endless => "endless-line",
            Self::LineTooLong => "line-too-long",
        }
    }
}

/// The tags of the commands that wait for their answer, oldest first.
type Open = VecDeque<Box<[u8]>>;

/// The state of both directions, from the moment when the client is told that it is logged in.
#[derive(Default)]
pub struct Tracker {
    client: Client,
    server: Server,
    open: Open,
    /// usher's own answers to the client, to be sent at the next end of a response.
    answers: Vec<u8>,
    /// The backend has said BYE.
    said_bye: bool,
    /// The client has said LOGOUT.
    logged_out: bool,
}

impl Tracker {
    /// Whether the server's side is between two responses: the only place to say something.
    pub fn at_boundary(&self) -> bool {
        self.server.at_boundary()
    }

    /// Whether the backend has said BYE, so that nobody else needs to.
    pub fn said_bye(&self) -> bool {
        self.said_bye
    }

    /// Whether the client has said LOGOUT, so that the end is its wish.
    pub fn logged_out(&self) -> bool {
        self.logged_out
    }

    /// Whether the session may be ended without cutting anything off.
    pub fn rest(&self) -> Rest {
        match self.client {
            _ if !self.at_boundary() || !self.answers.is_empty() => Rest::Busy,
            Client::Idling if self.open.len() == 1 => Rest::Idle,
            Client::LineStart if self.open.is_empty() => Rest::Between,
            _ => Rest::Busy,
        }
    }

    /// Own answers that are due now. Empty unless the server's side is between two responses.
    pub fn take_answers(&mut self) -> Vec<u8> {
        if self.at_boundary() { std::mem::take(&mut self.answers) } else { Vec::new() }
    }
}
