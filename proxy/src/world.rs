//! usher within a test: everything that `app` builds, and nobody at its door. Connections are streams in memory.

use crate::accepted::{Connected, Ends};
use crate::active::ListenerContext;
use crate::app::build;
use crate::load::Config;
use crate::parts::Parts;
use crate::slot::Slot;
use crate::tls;
use crate::workers::Workers;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use tempfile::TempDir;
use usher_tests::address;
use usher_tests::archive::{Archive, Options};

/// usher, and the archive of the one user that it knows: `anna@example.com`, whose password is `secret`.
pub(crate) struct World {
    pub(crate) parts: Parts,
    pub(crate) archive: Arc<Archive>,
    ip: IpAddr,
    _dir: TempDir,
}

impl World {
    /// With these sections of the configuration beyond its own.
    pub(crate) async fn new(sections: &str) -> Self {
        let (dir, ip) = (tempfile::tempdir().unwrap(), address::own());
        let at = |port| SocketAddr::new(ip, port);
        let archive = Archive::start(Options::named("ih.test"), at(10143)).await.unwrap();
        archive.add_user("anna@example.com", "secret");
        let text = format!(
            "[server]\nname = \"mail.test\"\nstate_dir = {:?}\nlogin_wait = \"100ms\"\n\
             [[listener]]\nprotocol = \"imaps\"\naddress = \"{}\"\n\
             [[listener]]\nprotocol = \"https\"\naddress = \"{}\"\n\
             [[instance_host]]\nname = \"ih.test\"\nimap = {{ address = \"{}\", tls = \"none\" }}\n\
             http = {{ address = \"{}\", tls = \"none\" }}\n\
             health = {{ imap = {{ probe = \"none\" }}, http = {{ probe = \"none\" }} }}\n{sections}",
            dir.path(),
            at(10993),
            at(10443),
            at(10143),
            at(10080),
        );
        let file = dir.path().join("usher.toml");
        std::fs::write(&file, text).unwrap();
        let config = Config::load(&file).unwrap();
        let read = config.certificates(None).unwrap();
        let key = config.snapshot.domains.written("anna@example.com").unwrap();
        let lasting = tls::Lasting::new(tls::Tickets::new().unwrap());
        let parts = build(config.snapshot, read, Workers::start().unwrap(), &lasting, None).unwrap();
        parts.sources.ledger().set(&key, "ih.test", "test").unwrap();
        Self { parts, archive, ip, _dir: dir }
    }

    /// The listener on this port.
    pub(crate) fn listener(&self, port: u16) -> ListenerContext {
        let address = SocketAddr::new(self.ip, port);
        self.parts.acceptor.config.listener(address, &address.to_string().into()).unwrap()
    }

    /// Both ends of a connection to `port`: the client's and usher's.
    pub(crate) fn ends(&self, port: u16) -> Ends {
        let client = SocketAddr::new([192, 0, 2, 9].into(), 50_000);
        Ends { client, local: SocketAddr::new(self.ip, port) }
    }

    /// A connection's place.
    pub(crate) fn place(&self) -> Connected {
        let acceptor = &self.parts.acceptor;
        let slot = Slot::take(&acceptor.admission.connections, None).unwrap();
        Connected::new(slot, acceptor.workers.choose())
    }
}
