//! The process that takes over.

use super::channel::{Channel, Parcel, is_gone};
use super::words::{Estate, FromPredecessor, FromSuccessor, Rest};
use crate::succession::{BulkUnderWay, MoveUnderWay, SUCCEEDS};
use rustix::stdio;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::time::Duration;
use zeroize::Zeroizing;

/// How long a predecessor may take for an answer: it may be writing to a slow disk.
const PATIENCE: Duration = Duration::from_secs(120);

/// The predecessor, as its successor knows it.
pub(crate) struct Successor {
    channel: Channel,
}

/// What a predecessor leaves.
pub(crate) struct Inheritance {
    /// The lock of the state directory.
    pub(crate) lock: File,
    /// The admin socket, and where it is.
    pub(crate) admin_socket: (PathBuf, UnixListener),
    /// The admin API's TCP socket, and where it is.
    pub(crate) admin_listen: Option<(SocketAddr, TcpListener)>,
    pub(crate) listeners: Vec<TcpListener>,
    pub(crate) ticket_keys: Zeroizing<Vec<u8>>,
    /// What has been stopped since the predecessor's start.
    pub(crate) stopped: Vec<String>,
}

/// What a predecessor was in the middle of.
#[derive(Default)]
pub(crate) struct Unfinished {
    /// The configuration is to be read again.
    pub(crate) reload: bool,
    pub(crate) moves: Vec<MoveUnderWay>,
    pub(crate) bulk: Option<BulkUnderWay>,
    /// What has failed by guessing.
    pub(crate) guesses: Zeroizing<Vec<u8>>,
}

impl Successor {
    /// If this process is one: whoever has started it waits at the other end of its standard input.
    pub(crate) fn of_environment() -> Option<Self> {
        std::env::var_os(SUCCEEDS)?;
        let socket = stdio::stdin().try_clone_to_owned().ok()?;
        // Nothing that is started from here must hold it.
        stdio::dup2_stdin(File::open("/dev/null").ok()?).ok()?;
        Some(Self { channel: Channel::new(UnixStream::from(socket), PATIENCE) })
    }

    /// Waits for what the predecessor leaves.
    ///
    /// # Errors
    /// The system's, or that something is missing.
    pub(crate) fn inherit(&mut self) -> io::Result<Inheritance> {
        self.channel.wait_for(PATIENCE);
        let Parcel { message, octets, files } = self.channel.receive()?;
        let FromPredecessor::Estate(Estate { admin_socket, admin_listen, stopped }) = message else {
            return Err(ErrorKind::InvalidData.into());
        };
        let mut files = files.into_iter();
        let mut next = || files.next().ok_or(ErrorKind::UnexpectedEof);
        let lock = File::from(next()?);
        let admin_socket = (admin_socket, UnixListener::from(next()?));
        let admin_listen = match admin_listen {
            Some(address) => Some((address, TcpListener::from(next()?))),
            None => None,
        };
        let listeners = files.map(TcpListener::from).collect();
        Ok(Inheritance { lock, admin_socket, admin_listen, listeners, ticket_keys: octets, stopped })
    }

    /// Tells the predecessor that nothing that may fail is left, and waits for its leave to serve. A predecessor that is
    /// gone gives leave.
    ///
    /// # Errors
    /// The system's, or `TimedOut`.
    pub(crate) fn ready(&mut self) -> io::Result<Unfinished> {
        self.channel.wait_for(PATIENCE);
        let told = self.channel.send(&FromSuccessor::Ready, &[], &[]).and_then(|()| self.channel.receive());
        match told {
            Ok(Parcel { message: FromPredecessor::Rest(rest), octets, .. }) => {
                let Rest { reload, moves, bulk } = rest;
                Ok(Unfinished { reload, moves, bulk, guesses: octets })
            }
            Ok(_) => Err(ErrorKind::InvalidData.into()),
            Err(error) if is_gone(&error) => Ok(Unfinished::default()),
            Err(error) => Err(error),
        }
    }

    /// Tells the predecessor that connections are accepted here.
    pub(crate) fn serving(&self) {
        // Whoever is gone needs not be told.
        let _ = self.channel.send(&FromSuccessor::Serving, &[], &[]);
    }

    /// Tells the predecessor why it has to go on.
    pub(crate) fn failed(&self, why: &str) {
        let _ = self.channel.send(&FromSuccessor::Failed(why.to_owned()), &[], &[]);
    }
}
