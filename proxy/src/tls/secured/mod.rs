//! TLS with a client, on a connection that holds no buffers while nothing flows.
//!
//! rustls works on buffers that it is handed, and all connections of a worker share the same ones: an idle session
//! costs its keys and nothing more. All that is kept is the beginning of an incomplete record, plaintext for which
//! there was no room, and records that the client has not taken.

use super::certificates::take_asked_name;
use crate::pending::{PendingBuffer, wipe};
use rustls::server::{ServerConnectionData, UnbufferedServerConnection};
use rustls::unbuffered::{ConnectionState, EncodeError, EncryptError, UnbufferedStatus, WriteTraffic};
use rustls::{CommonState, ProtocolVersion, ServerConfig};
use std::cell::RefCell;
use std::io;
use std::ops::Deref;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// Bytes encrypted at a time: four records, which are sent by one system call.
const CHUNK: usize = 64 * 1024;
/// Room for a chunk in records, and for a message of rustls before it.
const SEALED: usize = CHUNK + 4 * 1024;
/// The longest record (RFC 5246 section 6.2.3).
const RECORD: usize = 5 + 16 * 1024 + 2048;
/// Octets of what answers a ClientHello, mostly.
const FLIGHT: usize = 3 * 1024;
/// Room for the longest handshake message, which must be complete, and a record after it.
const RECEIVED: usize = 64 * 1024 + 2 * RECORD;

thread_local! {
    /// The connections of a worker thread read into this and decrypt in it; nothing in it outlives a poll.
    static INCOMING: RefCell<Box<[u8]>> = RefCell::new(vec![0; RECEIVED].into_boxed_slice());
    /// They encrypt into this; likewise.
    static OUTGOING: RefCell<Box<[u8]>> = RefCell::new(vec![0; SEALED].into_boxed_slice());
}

/// The connection.
pub(crate) struct Secured {
    tcp: TcpStream,
    tls: UnbufferedServerConnection,
    server_name: Option<Box<str>>,
    /// Received: the beginning of a record, or of a handshake message.
    partial: Vec<u8>,
    /// Decrypted, and not taken yet.
    plain: PendingBuffer,
    /// Encrypted, and not sent yet.
    unsent: PendingBuffer,
    /// The client takes nothing at the moment.
    is_blocked: bool,
    /// The client has said that nothing more will come.
    has_ended: bool,
    has_said_goodbye: bool,
    fault: Option<Box<rustls::Error>>,
}

impl Secured {
    /// Performs the TLS handshake with whoever has connected.
    ///
    /// # Errors
    /// Those of rustls as `InvalidData`, or the connection's own. The client has been sent its alert, as far as that
    /// was possible without waiting.
    pub(super) async fn accept(
        tcp: TcpStream,
        config: &Arc<ServerConfig>,
    ) -> Result<Box<Self>, (io::Error, TcpStream)> {
        // Before what will be in it, which is then not copied there.
        let place = Box::new_uninit();
        let tls = match UnbufferedServerConnection::new(config.clone()) {
            Ok(tls) => tls,
            Err(error) => return Err((io::Error::other(error), tcp)),
        };
        let secured = Self {
            tcp,
            tls,
            server_name: None,
            partial: Vec::new(),
            plain: PendingBuffer::default(),
            unsent: PendingBuffer::default(),
            is_blocked: false,
            has_ended: false,
            has_said_goodbye: false,
            fault: None,
        };
        let mut secured = Box::write(place, secured);
        match std::future::poll_fn(|cx| secured.poll_handshake(cx)).await {
            Ok(()) => Ok(secured),
            Err(error) => Err((error, secured.tcp)),
        }
    }

    /// What was negotiated.
    pub(super) fn negotiated(&self) -> &CommonState {
        self.tls.deref()
    }

    /// Whether the client takes nothing at the moment.
    pub(super) fn is_blocked(&self) -> bool {
        self.is_blocked
    }

    /// The name that the client asked for with SNI.
    pub(super) fn server_name(&self) -> Option<&str> {
        self.server_name.as_deref()
    }

    fn poll_handshake(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            self.check()?;
            let is_done = !self.tls.is_handshaking();
            // Tickets are sent with the first data. Before TLS 1.3, the client waits for what is left.
            if !is_done || self.tls.protocol_version() != Some(ProtocolVersion::TLSv1_3) {
                ready!(self.poll_send(cx))?;
            }
            if is_done {
                return Poll::Ready(Ok(()));
            }
            if self.has_ended {
                return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
            }
            ready!(self.poll_receive(cx, &mut ReadBuf::new(&mut [])))?;
        }
    }

    /// Fails if something has failed before.
    fn check(&self) -> io::Result<()> {
        match &self.fault {
            Some(fault) => Err(io::Error::new(io::ErrorKind::InvalidData, rustls::Error::clone(fault))),
            None => Ok(()),
        }
    }

    /// Receives some data and decrypts it into `buf`: mostly all of it.
    fn poll_receive(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        INCOMING.with_borrow_mut(|incoming| {
            let kept = self.partial.len();
            // No more than there is room for, but in any case a whole record.
            let most = (kept + buf.remaining().max(RECORD) + 1024).min(RECEIVED);
            let (before, rest) = incoming.split_at_mut(kept);
            before.copy_from_slice(&self.partial);
            let mut room = ReadBuf::new(rest.get_mut(..most.saturating_sub(kept)).unwrap_or_default());
            if room.capacity() == 0 {
                return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
            }
            ready!(Pin::new(&mut self.tcp).poll_read(cx, &mut room))?;
            let count = room.filled().len();
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
            }
            let received = incoming.get_mut(..kept + count).unwrap_or_default();
            let (done, advanced) = self.advance(received, buf, |_| {});
            let rest = received.get(done..).unwrap_or_default();
            if let Err(fault) = advanced {
                self.fail(fault);
                // The alert is clearer than the end of the connection, if the client takes it at once.
                let _ = self.poll_send(cx);
            }
            if rest.is_empty() || self.has_ended || self.fault.is_some() {
                self.partial = Vec::new();
            } else {
                self.partial.clear();
                self.partial.extend_from_slice(rest);
            }
            wipe(received);
            Poll::Ready(Ok(()))
        })
    }

    /// Lets rustls process `incoming`, and calls `write` when something may be written. Returns how much of `incoming`
    /// has been processed.
    fn advance(
        &mut self,
        incoming: &mut [u8],
        buf: &mut ReadBuf<'_>,
        mut write: impl FnMut(&mut WriteTraffic<'_, ServerConnectionData>),
    ) -> (usize, Result<(), rustls::Error>) {
        let mut done = 0;
        loop {
            let (step, again) = self.step(incoming.get_mut(done..).unwrap_or_default(), buf, &mut write);
            done += step;
            match again {
                Ok(true) => {}
                Ok(false) => return (done, Ok(())),
                Err(fault) => return (done, Err(fault)),
            }
        }
    }

    /// One step of [`Self::advance`]; true if there may be another.
    fn step(
        &mut self,
        incoming: &mut [u8],
        buf: &mut ReadBuf<'_>,
        write: &mut impl FnMut(&mut WriteTraffic<'_, ServerConnectionData>),
    ) -> (usize, Result<bool, rustls::Error>) {
        let is_handshaking = self.tls.is_handshaking();
        let begins = self.tls.protocol_version().is_none();
        // Clears what a failed connection may have left behind.
        if is_handshaking {
            drop(take_asked_name());
        }
        let UnbufferedStatus { mut discard, state, .. } = self.tls.process_tls_records(incoming);
        let again = match state {
            Ok(ConnectionState::ReadTraffic(mut traffic)) => loop {
                match traffic.next_record() {
                    Some(Ok(record)) => {
                        discard += record.discard;
                        self.plain.hand_on(record.payload, buf);
                    }
                    Some(Err(fault)) => break Err(fault),
                    None => break Ok(true),
                }
            },
            Ok(ConnectionState::EncodeTlsData(mut data)) => {
                let unsent = &mut self.unsent.octets;
                let length = unsent.len();
                if begins {
                    unsent.reserve(FLIGHT);
                }
                if let Err(EncodeError::InsufficientSize(wanted)) = data.encode(&mut []) {
                    unsent.resize(length + wanted.required_size, 0);
                }
                let room = unsent.get_mut(length..).unwrap_or_default();
                data.encode(room).map(|_| true).map_err(|error| rustls::Error::General(error.to_string()))
            }
            // It is sent before anything that comes after it.
            Ok(ConnectionState::TransmitTlsData(data)) => {
                data.done();
                Ok(true)
            }
            Ok(ConnectionState::PeerClosed) => {
                self.has_ended = true;
                Ok(true)
            }
            Ok(ConnectionState::WriteTraffic(mut traffic)) => {
                write(&mut traffic);
                Ok(false)
            }
            Ok(ConnectionState::BlockedHandshake | ConnectionState::Closed) => Ok(false),
            Ok(_) => Err(rustls::Error::General("early data that was not asked for".to_owned())),
            Err(fault) => Err(fault),
        };
        if is_handshaking && let Some(name) = take_asked_name() {
            self.server_name = Some(name);
        }
        (discard, again)
    }

    /// Records a fault, and the alert that tells the client about it.
    fn fail(&mut self, fault: rustls::Error) {
        // Lets rustls write what it still has pending, without any input: what was received must not be processed
        // again.
        while self.tls.wants_write() && self.step(&mut [], &mut ReadBuf::new(&mut []), &mut |_| {}).1.is_ok()
        {
        }
        self.fault = Some(Box::new(fault));
    }

    /// Calls `seal` as soon as rustls has nothing else to write; its result goes into `out` after that. `None`: the
    /// connection has ended on both sides.
    fn seal(
        &mut self,
        out: &mut [u8],
        mut seal: impl FnMut(
            &mut WriteTraffic<'_, ServerConnectionData>,
            &mut [u8],
        ) -> Result<usize, EncryptError>,
    ) -> io::Result<Option<usize>> {
        self.check()?;
        let mut sealed = None;
        let mut partial = std::mem::take(&mut self.partial);
        let (done, advanced) = self
            .advance(&mut partial, &mut ReadBuf::new(&mut []), |traffic| sealed = Some(seal(traffic, out)));
        partial.drain(..done);
        if let Err(fault) = advanced {
            self.fail(fault);
            self.check()?;
        }
        self.partial = partial;
        sealed.transpose().map_err(io::Error::other)
    }

    /// Sends what waits.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.unsent.is_empty() {
            let sent = Pin::new(&mut self.tcp).poll_write(cx, self.unsent.rest());
            self.is_blocked = sent.is_pending();
            match ready!(sent)? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                sent => self.unsent.take(sent),
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Sends `length` octets of `out` after what is already waiting, and keeps what the client does not take now.
    fn send(&mut self, cx: &mut Context<'_>, out: &mut [u8], mut length: usize) -> io::Result<()> {
        let waiting = self.unsent.rest().len();
        if !self.is_blocked && waiting > 0 && waiting + length <= out.len() {
            // A ticket goes out with what is said first.
            out.copy_within(..length, waiting);
            out.iter_mut().zip(self.unsent.rest()).for_each(|(to, from)| *to = *from);
            self.unsent = PendingBuffer::default();
            length += waiting;
        }
        let mut sealed = out.get(..length).unwrap_or_default();
        if self.unsent.is_empty() {
            // Mostly everything is sent at once, and nothing is kept.
            match Pin::new(&mut self.tcp).poll_write(cx, sealed) {
                Poll::Ready(sent) => sealed = sealed.get(sent?..).unwrap_or_default(),
                Poll::Pending => self.is_blocked = true,
            }
        }
        self.unsent.octets.extend_from_slice(sealed);
        match self.is_blocked {
            true => Ok(()),
            false => match self.poll_send(cx) {
                Poll::Ready(sent) => sent,
                Poll::Pending => Ok(()),
            },
        }
    }
}

impl AsyncRead for Secured {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.plain.deliver(buf) {
            return Poll::Ready(Ok(()));
        }
        let before = buf.filled().len();
        while buf.filled().len() == before && buf.remaining() > 0 {
            this.check()?;
            if this.has_ended {
                break;
            }
            ready!(this.poll_receive(cx, buf))?;
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Secured {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.is_blocked {
            ready!(this.poll_send(cx))?;
        }
        let part = data.get(..data.len().min(CHUNK)).unwrap_or_default();
        if part.is_empty() {
            return Poll::Ready(Ok(0));
        }
        OUTGOING.with_borrow_mut(|out| {
            let length = this.seal(out, |traffic, out| traffic.encrypt(part, out))?;
            let length = length.ok_or(io::ErrorKind::BrokenPipe)?;
            this.send(cx, out, length)?;
            Poll::Ready(Ok(part.len()))
        })
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().poll_send(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !std::mem::replace(&mut this.has_said_goodbye, true) && this.fault.is_none() {
            let mut out = [0; 256];
            let length = this.seal(&mut out, |traffic, out| traffic.queue_close_notify(out))?;
            this.unsent.octets.extend_from_slice(out.get(..length.unwrap_or(0)).unwrap_or_default());
        }
        ready!(this.poll_send(cx))?;
        if this.has_ended {
            // Nothing more can be read, so whoever ends this drops it next, which closes the connection as well.
            return Poll::Ready(Ok(()));
        }
        match ready!(Pin::new(&mut this.tcp).poll_shutdown(cx)) {
            // It is gone already.
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Poll::Ready(Ok(())),
            shut => Poll::Ready(shut),
        }
    }
}

#[cfg(test)]
mod tests;
