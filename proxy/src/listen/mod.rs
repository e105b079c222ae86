//! The listening sockets: bound before anything is served, and accepting until usher stops.

mod accept;
mod acceptor;
mod deferred;
mod open;
mod reserve;
mod source;

use accept::accept;
pub(crate) use acceptor::{Acceptor, Admission};
pub(crate) use open::{Bound, Sockets, open_missing, watch};
pub(crate) use source::SocketSource;
