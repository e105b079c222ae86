//! Requests without a connection: a head goes in, what becomes of it comes out.

use super::{Outcome, exchange};
use crate::https::client::Client;
use crate::https::message::body::Source;
use crate::https::message::interim::Inform;
use crate::https::pages::answer::Form;
use crate::tls::ClientStream;
use crate::world::World;
use http::{Request, Response, Version};
use http_body_util::BodyExt;
use std::sync::Arc;
use tokio::io::duplex;
use usher_tests::scripted::Scripted;

/// Hears of no interim responses.
struct Deaf;

impl Inform for Deaf {
    fn inform(&self, _: Response<()>) {}
}

fn client(world: &World) -> Arc<Client> {
    let stream = ClientStream::Memory(duplex(1).0);
    let (at, server) = (world.listener(10443), world.parts.acceptor.https.clone());
    Client::new(server, at, world.ends(10443), &stream, world.place())
}

/// The status and the body that a GET of `target` gets, with these fields beside `Host`.
async fn get(client: &Arc<Client>, target: &str, fields: &[(&str, &str)]) -> (u16, String) {
    let mut request = Request::get(target).version(Version::HTTP_11).header("host", "mail.test");
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    let (parts, ()) = request.body(()).unwrap().into_parts();
    match exchange(client, tokio::time::Instant::now(), parts, Source::Nothing, None, Form::Json, &Deaf).await
    {
        Outcome::Response(response) => {
            let status = response.status().as_u16();
            let body = response.into_body().collect().await.unwrap().to_bytes();
            (status, String::from_utf8(body.to_vec()).unwrap())
        }
        Outcome::Tunnel(..) | Outcome::Reset(_) | Outcome::Cut => panic!("no response"),
    }
}

/// `anna@example.com:secret`.
const ANNA: (&str, &str) = ("authorization", "Basic YW5uYUBleGFtcGxlLmNvbTpzZWNyZXQ=");

#[tokio::test]
async fn what_usher_answers_itself() {
    let world = World::new("").await;
    let client = client(&world);
    assert_eq!(get(&client, "/healthcheck.htm", &[]).await, (200, "200 OK\r\n".to_owned()));
    for (target, fields, status) in [
        ("/", &[][..], 401),
        ("/a//b", &[], 400),
        ("/", &[("authorization", "Basic x"), ("authorization", "Basic y")], 400),
        // `nobody@example.com:secret`
        ("/", &[("authorization", "Basic bm9ib2R5QGV4YW1wbGUuY29tOnNlY3JldA==")], 401),
    ] {
        assert_eq!(get(&client, target, fields).await.0, status, "{target} {fields:?}");
    }
}

#[tokio::test]
async fn a_request_goes_to_the_host_of_its_user() {
    let world = World::new("").await;
    let _backend = Scripted::start((world.ends(10443).local.ip(), 10080).into(), |mut conn| {
        let mut host = String::new();
        while let Some(line) = conn.line().filter(|line| !line.is_empty()) {
            if let Some(named) = line.strip_prefix("host: ") {
                named.clone_into(&mut host);
            }
        }
        conn.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{host}", host.len()));
    });
    assert_eq!(get(&client(&world), "/inbox", &[ANNA]).await, (200, "mail.test".to_owned()));
}

#[tokio::test]
async fn a_home_that_is_down_or_held_is_an_outage_and_nobody_elses() {
    let world = World::new("").await;
    let client = client(&world);
    assert_eq!(get(&client, "/", &[ANNA]).await.0, 503, "nobody listens there");
    let key = world.listener(10443).active.snapshot.domains.written("anna@example.com").unwrap();
    world.parts.fleet.hold_key(&key, "test", "").unwrap();
    assert_eq!(get(&client, "/", &[ANNA]).await.0, 503);
}
