//! IMAP connections over streams in memory.

use super::joined::Joined;
use super::preauth::{Next, converse};
use crate::accepted::Ends;
use crate::login::PreLogin;
use crate::relay;
use crate::session::{By, Cause, Ended, Order, Why};
use crate::tls::ClientStream;
use crate::world::World;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::time::Instant;
use usher_config::snapshot::Serves;
use usher_wire::imap::capability::Privacy;

const GREETING: &str = " mail.test ready\r\n";
const REFUSED: &str = "a NO [AUTHENTICATIONFAILED] Authentication failed.\r\n";

/// Talks with a client until its login is over.
async fn talk(world: &World, stream: DuplexStream) -> Result<Box<Joined>, Ended> {
    let at = world.listener(10993);
    let Serves::Imap(listener) = at.listener().serves.clone() else { panic!("not IMAP") };
    let server = world.parts.acceptor.imap.clone();
    let Ends { client, local } = world.ends(10993);
    let id = server.ids.next();
    let mut until = Instant::now() + Duration::from_secs(60);
    let prelogin = PreLogin {
        server,
        at,
        id,
        client,
        local,
        begun: Instant::now(),
        tried: Mutex::default(),
        waited: Mutex::default(),
        attempts: Default::default(),
    };
    let stream = ClientStream::Memory(stream);
    match converse(&prelogin, &listener, stream, Privacy::Tls, &mut until).await? {
        Next::Joined(joined) => Ok(joined),
        Next::StartTls(..) => panic!("there is TLS already"),
    }
}

/// Reads up to and including `end`.
async fn until(client: &mut DuplexStream, end: &str) -> String {
    let mut said = Vec::new();
    while !said.ends_with(end.as_bytes()) {
        let octet = client.read_u8().await.unwrap_or_else(|_| panic!("{:?}", String::from_utf8_lossy(&said)));
        said.push(octet);
    }
    String::from_utf8(said).unwrap()
}

#[tokio::test]
async fn a_session_goes_to_its_host_and_back() {
    let world = Arc::new(World::new("").await);
    let (mut client, stream) = duplex(1024);
    let served = tokio::spawn({
        let world = world.clone();
        async move {
            let Joined { session, lease, streams, place: _ } = *talk(&world, stream).await.unwrap();
            assert_eq!(&*lease.backend().id.name, "ih.test");
            let bytes = &world.parts.acceptor.metrics.bytes;
            relay::run(&session, streams, bytes, Duration::from_secs(1)).await.ended
        }
    });
    until(&mut client, GREETING).await;
    // What follows the login is passed on after it.
    client.write_all(b"a LOGIN anna@example.com secret\r\nb NOOP\r\n").await.unwrap();
    assert!(until(&mut client, "\r\n").await.starts_with("a OK "));
    until(&mut client, "b OK done\r\n").await;
    assert_eq!(world.archive.logins(), 1);
    // An operator's order ends it between two responses.
    world.parts.acceptor.imap.sessions.for_each(|session| {
        session.tell(Order::goodbye(Why::Kicked));
    });
    until(&mut client, "* BYE [UNAVAILABLE] Connection is closing, please reconnect.\r\n").await;
    drop(client);
    let ended = served.await.unwrap();
    assert_eq!((ended.by, ended.cause), (By::Operator, Cause::Kicked));
    assert_eq!(world.parts.acceptor.imap.sessions.len(), 0);
}

#[tokio::test]
async fn nobody_and_a_wrong_password_are_refused_alike() {
    let world = Arc::new(World::new("").await);
    let (mut client, stream) = duplex(1024);
    let served = tokio::spawn({
        let world = world.clone();
        async move { talk(&world, stream).await.map(|_| ()) }
    });
    until(&mut client, GREETING).await;
    for login in ["anna@example.com wrong", "nobody@example.com secret"] {
        client.write_all(format!("a LOGIN {login}\r\n").as_bytes()).await.unwrap();
        assert_eq!(until(&mut client, "\r\n").await, REFUSED, "{login}");
    }
    assert_eq!(world.archive.logins(), 0);
    drop(client);
    assert_eq!(served.await.unwrap().unwrap_err().by, By::Client);
}

#[tokio::test]
async fn an_archive_that_is_being_moved_is_an_outage() {
    let world = World::new("").await;
    let key = world.listener(10993).active.snapshot.domains.written("anna@example.com").unwrap();
    world.parts.fleet.hold_key(&key, "test", "").unwrap();
    let (mut client, stream) = duplex(1024);
    client.write_all(b"a LOGIN anna@example.com secret\r\n").await.unwrap();
    let (served, said) = tokio::join!(talk(&world, stream), async {
        let mut said = String::new();
        client.read_to_string(&mut said).await.unwrap();
        said
    });
    assert!(said.contains("a NO [UNAVAILABLE] ") && !said.contains("AUTHENTICATIONFAILED"), "{said}");
    assert_eq!(served.err().unwrap().cause, Cause::Unavailable);
    assert_eq!(world.archive.logins(), 0);
}
