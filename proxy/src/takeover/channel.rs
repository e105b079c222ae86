//! What predecessor and successor say to each other: parcels of a message, octets and files, over a pair of sockets.

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, recvmsg, sendmsg,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::io::{self, ErrorKind, IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};
use zeroize::Zeroizing;

/// Files that go with one octet.
const FILES: usize = 64;
/// Longest message, in octets.
const MESSAGE: u32 = 64 << 20;
/// Most octets beside it.
pub(super) const MOST_OCTETS: usize = 1 << 30;
/// Most files: what a process may have open.
const MOST_FILES: u32 = 1 << 20;

/// One end.
pub(super) struct Channel {
    socket: UnixStream,
    /// When waiting for the other end is over.
    until: Instant,
}

/// What was received.
pub(super) struct Parcel<M> {
    pub(super) message: M,
    pub(super) octets: Zeroizing<Vec<u8>>,
    pub(super) files: Vec<OwnedFd>,
}

impl Channel {
    pub(super) fn new(socket: UnixStream, patience: Duration) -> Self {
        Self { socket, until: Instant::now() + patience }
    }

    /// Waits anew.
    pub(super) fn wait_for(&mut self, patience: Duration) {
        self.until = Instant::now() + patience;
    }

    fn in_time(&self) -> io::Result<()> {
        let left = self.until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(ErrorKind::TimedOut.into());
        }
        self.socket.set_read_timeout(Some(left))?;
        self.socket.set_write_timeout(Some(left))
    }

    /// Sends a parcel.
    ///
    /// # Errors
    /// The system's, or `TimedOut`.
    pub(super) fn send(
        &self,
        message: &impl Serialize,
        octets: &[u8],
        files: &[BorrowedFd<'_>],
    ) -> io::Result<()> {
        self.in_time()?;
        let message = serde_json::to_vec(message)?;
        let mut head = Vec::with_capacity(12);
        for length in [message.len(), octets.len(), files.len()] {
            head.extend(
                u32::try_from(length).map_err(|_| io::Error::from(ErrorKind::InvalidInput))?.to_be_bytes(),
            );
        }
        let mut socket = &self.socket;
        [head.as_slice(), &message, octets]
            .into_iter()
            .try_for_each(|part| socket.write_all(part))
            .map_err(late)?;
        for some in files.chunks(FILES) {
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FILES))];
            let mut control = SendAncillaryBuffer::new(&mut space);
            control.push(SendAncillaryMessage::ScmRights(some));
            sendmsg(&self.socket, &[IoSlice::new(&[0])], &mut control, SendFlags::NOSIGNAL)?;
        }
        Ok(())
    }

    /// Waits for a parcel.
    ///
    /// # Errors
    /// The system's; `TimedOut`; `UnexpectedEof`, when the other end is gone; `InvalidData`, when it is none.
    pub(super) fn receive<M: DeserializeOwned>(&self) -> io::Result<Parcel<M>> {
        self.in_time()?;
        let mut head = [0; 12];
        let mut socket = &self.socket;
        socket.read_exact(&mut head).map_err(late)?;
        let length = |at: usize| u32::from_be_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let (message, octets, files) = (length(0), length(4), length(8));
        if message > MESSAGE || octets as usize > MOST_OCTETS || files > MOST_FILES {
            return Err(ErrorKind::InvalidData.into());
        }
        let mut message = vec![0; message as usize];
        socket.read_exact(&mut message).map_err(late)?;
        let mut octets = Zeroizing::new(vec![0; octets as usize]);
        socket.read_exact(&mut octets).map_err(late)?;
        let mut received = Vec::new();
        while received.len() < files as usize {
            let some = self.receive_files()?;
            if some.is_empty() {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            received.extend(some);
        }
        Ok(Parcel { message: serde_json::from_slice(&message)?, octets, files: received })
    }

    fn receive_files(&self) -> io::Result<Vec<OwnedFd>> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FILES))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut octet = [0];
        recvmsg(&self.socket, &mut [IoSliceMut::new(&mut octet)], &mut control, RecvFlags::CMSG_CLOEXEC)?;
        let files = control.drain().flat_map(|message| match message {
            RecvAncillaryMessage::ScmRights(files) => files.collect(),
            _ => Vec::new(),
        });
        Ok(files.collect())
    }
}

/// A socket with a deadline says that it would block.
fn late(error: io::Error) -> io::Error {
    if error.kind() == ErrorKind::WouldBlock { ErrorKind::TimedOut.into() } else { error }
}

/// Whether the other end is gone.
pub(super) fn is_gone(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::UnexpectedEof | ErrorKind::BrokenPipe | ErrorKind::ConnectionReset)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    #[test]
    fn whatever_is_sent_arrives() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let [ours, theirs] = [ours, theirs].map(|socket| Channel::new(socket, Duration::from_secs(20)));
        let dir = tempfile::tempdir().unwrap();
        let files: Vec<_> = (0..200)
            .map(|at| {
                let path = dir.path().join(at.to_string());
                std::fs::write(&path, at.to_string()).unwrap();
                std::fs::File::open(path).unwrap()
            })
            .collect();
        let octets: Vec<u8> = (0..3_000_000_u32).map(|at| at as u8).collect();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let files: Vec<_> = files.iter().map(AsFd::as_fd).collect();
                ours.send(&["first"], &octets, &files).unwrap();
                ours.send(&["second"], &[], &[]).unwrap();
            });
            let first: Parcel<Vec<String>> = theirs.receive().unwrap();
            assert_eq!(
                (first.message, first.octets.as_slice()),
                (vec!["first".to_owned()], octets.as_slice())
            );
            assert_eq!(first.files.len(), 200);
            for (at, file) in first.files.into_iter().enumerate() {
                let mut text = String::new();
                std::fs::File::from(file).read_to_string(&mut text).unwrap();
                assert_eq!(text, at.to_string());
            }
            let second: Parcel<Vec<String>> = theirs.receive().unwrap();
            assert_eq!(second.message, ["second"]);
        });
        drop(ours);
        let gone = theirs.receive::<Vec<String>>().err().unwrap();
        assert_eq!(gone.kind(), ErrorKind::UnexpectedEof);
    }

    #[test]
    fn waiting_ends() {
        let (ours, _theirs) = UnixStream::pair().unwrap();
        let ours = Channel::new(ours, Duration::from_millis(20));
        assert_eq!(ours.receive::<()>().err().unwrap().kind(), ErrorKind::TimedOut);
        assert_eq!(ours.receive::<()>().err().unwrap().kind(), ErrorKind::TimedOut);
    }
}
