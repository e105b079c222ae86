//! usher and the others, side by side in front of one stub: IMAP without TLS and with it.

use crate::client::{Client, Handshake, How, RUNTIME, USERS, user};
use crate::peers::Peer;
use crate::stub::Stub;
use std::error::Error;
use std::net::SocketAddr;
use usher_tests::usher::{Setup, Usher};

/// The first of them resume TLS sessions; Dovecot's processes share no keys.
pub(crate) const RESUMING: usize = 3;

/// All of them, running.
pub(crate) struct Contest {
    pub(crate) contestants: Vec<Contestant>,
    usher: Usher,
    _others: ([Peer; 3], Stub),
}

/// One of them.
pub(crate) struct Contestant {
    pub(crate) name: &'static str,
    pub(crate) pid: u32,
    pub(crate) plain: SocketAddr,
    pub(crate) tls: SocketAddr,
}

impl Contest {
    /// Starts them.
    pub(crate) fn start() -> Result<Self, Box<dyn Error>> {
        let stub = Stub::start()?;
        let setup = Setup::new()
            .environment("RUST_LOG", "warn,usher::app=info")
            .imap("plaintext_from = [\"127.0.0.0/8\"]")
            .server("login_wait = \"2s\"");
        let certificate = setup.certificate.clone();
        let at = [18143, 18993, 28143, 28993, 38143, 38993].map(|port| setup.at(port));
        let [nginx, nginx_tls, haproxy, haproxy_tls, dovecot, dovecot_tls] = at;
        let mail = format!(
            "mail {{ server_name mail.test; auth_http {}/auth; proxy_pass_error_message on; \
             TLS; ssl_session_tickets on; \
             server {{ listen {nginx}; protocol imap; }} server {{ listen {nginx_tls} ssl; protocol imap; }} }}",
            stub.auth()
        );
        let peers = [
            Peer::nginx(&certificate, 2, &mail, nginx)?,
            Peer::haproxy(
                &certificate,
                &format!(
                    " mode tcp\nfrontend p\n bind {haproxy}\n default_backend b\nfrontend s\n \
                     bind {haproxy_tls} ssl crt PEM\n default_backend b\nbackend b\n server s {}",
                    stub.imap()
                ),
                haproxy,
            )?,
            Peer::dovecot(&certificate, (dovecot, dovecot_tls), stub.imap())?,
        ];
        let users: Vec<String> = (0..USERS).map(user).collect();
        let users: Vec<_> = users.iter().map(|user| (user.as_str(), "ih.test")).collect();
        let usher = setup.host("ih.test", stub.imap(), "tls = \"none\"", "").users(&users).start();
        let one = |name, pid, plain, tls| Contestant { name, pid, plain, tls };
        let contestants = vec![
            one("usher", usher.pid(), usher.imap(), usher.imaps()),
            one("nginx", peers[0].pid(), nginx, nginx_tls),
            one("HAProxy", peers[1].pid(), haproxy, haproxy_tls),
            one("Dovecot", peers[2].pid(), dovecot, dovecot_tls),
        ];
        let contest = Self { contestants, usher, _others: (peers, stub) };
        contest.check()?;
        Ok(contest)
    }

    /// Lets usher stop by itself.
    pub(crate) fn end(self) {
        self.usher.end();
    }

    /// That nobody has it easier: all negotiate the same, and those of [`RESUMING`] resume.
    fn check(&self) -> Result<(), Box<dyn Error>> {
        let mut negotiated = None;
        for (at, Contestant { name, tls, .. }) in self.contestants.iter().enumerate() {
            let how = How::tls(Handshake::Resumed);
            let visit = async || {
                let client = Client::log_in(*tls, &how, &user(0)).await?;
                let seen = (client.negotiated(), client.is_resumed());
                client.log_out().await.map(|()| seen)
            };
            let (first, again) = RUNTIME
                .block_on(async { Ok::<_, std::io::Error>((visit().await?, visit().await?)) })
                .map_err(|error| format!("{name}: {error}"))?;
            if first.0 != *negotiated.get_or_insert(first.0) || (at < RESUMING && !again.1) {
                return Err(format!("{name} has it easier or harder: {first:?}, {again:?}").into());
            }
        }
        Ok(())
    }
}
