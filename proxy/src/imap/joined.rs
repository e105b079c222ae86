//! A client and its host, from the host's OK onwards.

use crate::guessing::Place;
use crate::login::{Inbox, LoggedIn};
use crate::relay::Streams;
use crate::session::Entry;
use crate::tls::ClientStream;
use std::time::Duration;
use usher_backends::roster::{Host, Lease};
use usher_wire::imap::login;
use usher_wire::imap::preauth::{Answer, Claim, Preauth};
use usher_wire::imap::tracker::Tracker;

/// A client and its host, after a successful login.
pub(super) struct Joined {
    pub(super) session: Entry,
    pub(super) lease: Lease<Host>,
    pub(super) streams: Box<Streams<Tracker>>,
    /// Its place, where sessions are limited.
    pub(super) place: Option<Place>,
}

impl Joined {
    /// Joins them; the client gets the answer under its own tag. `silence` is how long the backend may be silent, and then
    /// be unreachable.
    pub(super) fn new(
        claim: &Claim,
        preauth: Preauth,
        client: ClientStream,
        logged_in: LoggedIn,
        silence: (Duration, Duration),
    ) -> Box<Self> {
        let LoggedIn { session, lease, backend, place } = logged_in;
        let accepted = backend.accepted;
        let mut to_client = Vec::new();
        login::hand_over(&claim.tag, claim.asked_capability, &accepted, &mut to_client);
        let streams = Streams {
            client,
            backend: backend.stream,
            silence,
            follower: Tracker::default(),
            to_client,
            from_client: preauth.into_leftover().to_vec(),
            from_backend: accepted.leftover,
        };
        Box::new(Self { session, lease, streams: Box::new(streams), place })
    }
}

impl Inbox for Preauth {
    fn room(&self) -> usize {
        Self::room(self)
    }

    fn feed(&mut self, bytes: &[u8]) {
        Self::feed(self, bytes);
    }

    fn answer(&mut self) -> Option<Answer> {
        Self::answer(self)
    }

    fn challenge(message: &[u8], out: &mut Vec<u8>) {
        Self::challenge(message, out);
    }
}
