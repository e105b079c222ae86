//! A connection whose client has to speak first waits in the system until it has.

use nix::sys::socket::setsockopt;
use nix::{getsockopt_impl, libc, setsockopt_impl, sockopt_impl};
use std::os::fd::AsFd;
use usher_config::snapshot::Protocol;

/// Seconds for which the system keeps a client that says nothing. It sends its part of TCP's handshake once more then,
/// and the connection is accepted, so that its deadlines and limits hold for it as well.
const SILENT: libc::c_int = 1;

sockopt_impl!(DeferAccept, Both, libc::IPPROTO_TCP, libc::TCP_DEFER_ACCEPT, libc::c_int);

/// Tells the listening `socket` whether clients of `protocol` speak first: a connection is then accepted together with
/// the first octets (tcp(7), `TCP_DEFER_ACCEPT`), and is looked at once instead of twice. Where the system cannot do that,
/// connections come at once.
pub(super) fn defer(socket: &impl AsFd, protocol: Protocol) {
    let seconds = match protocol {
        Protocol::Imaps | Protocol::Https | Protocol::HttpRedirect => SILENT,
        Protocol::Imap | Protocol::Tcp => 0,
    };
    let _ = setsockopt(socket, DeferAccept, &seconds);
}

#[cfg(test)]
mod tests {
    use super::{DeferAccept, defer};
    use nix::sys::socket::getsockopt;
    use socket2::SockRef;
    use std::net::{TcpListener, TcpStream};
    use std::time::Duration;
    use usher_config::snapshot::Protocol;

    #[test]
    fn only_clients_that_speak_first_are_waited_for() {
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let seconds = |protocol| {
            defer(&socket, protocol);
            getsockopt(&socket, DeferAccept).unwrap()
        };
        assert_eq!(seconds(Protocol::Imaps), 1);
        assert_eq!(seconds(Protocol::Imap), 0);
        assert_eq!(seconds(Protocol::Https), 1);
        assert_eq!(seconds(Protocol::Tcp), 0);
        assert_eq!(seconds(Protocol::HttpRedirect), 1);
    }

    #[test]
    fn whoever_says_nothing_is_accepted_nevertheless() {
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        // For accepting, too.
        SockRef::from(&socket).set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        defer(&socket, Protocol::Https);
        let silent = TcpStream::connect(socket.local_addr().unwrap()).unwrap();
        let (_, peer) = socket.accept().unwrap();
        assert_eq!(peer, silent.local_addr().unwrap());
    }
}
