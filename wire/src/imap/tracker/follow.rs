//! The tracker as any relay knows it.

use super::{Fault, Moved, Rest, Tracker};
use crate::follow::Follow;

/// What a client is told between two responses where its session ends (RFC 9051 section 7.1.5).
const BYE: &[u8] = b"* BYE [UNAVAILABLE] Connection is closing, please reconnect.\r\n";

impl Follow for Tracker {
    fn client<'a>(&mut self, input: &'a [u8]) -> Result<Moved<'a>, &'static str> {
        Self::client(self, input).map_err(Fault::name)
    }

    fn server<'a>(&mut self, input: &'a [u8], stop: bool) -> Result<Moved<'a>, &'static str> {
        Self::server(self, input, stop).map_err(Fault::name)
    }

    fn take_answers(&mut self) -> Vec<u8> {
        Self::take_answers(self)
    }

    fn client_waits(&self) -> bool {
        Self::client_waits(self)
    }

    fn at_boundary(&self) -> bool {
        Self::at_boundary(self)
    }

    fn said_bye(&self) -> bool {
        Self::said_bye(self)
    }

    fn logged_out(&self) -> bool {
        Self::logged_out(self)
    }

    fn rest(&self) -> Rest {
        Self::rest(self)
    }

    fn goodbye(&self) -> &'static [u8] {
        BYE
    }
}
