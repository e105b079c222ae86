//! What the system and the network around usher may do to it.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)] // helpers of tests fail by panicking

use std::net::TcpStream;
use usher_tests::archive::Options;
use usher_tests::client::{Client, config};
use usher_tests::runtime::archive;
use usher_tests::usher::{Setup, Usher};

#[test]
fn without_descriptors_connections_are_shed_and_service_returns() {
    let usher = Setup::new().wrapped(&["prlimit", "--nofile=40:40"]).start();
    let mut greeted = Client::plain(usher.imap());
    greeted.line();
    let crowd: Vec<TcpStream> = (0..100).map(|_| TcpStream::connect(usher.imap()).unwrap()).collect();
    usher.wait_for_log("connections cannot be accepted");
    // One who is in is served.
    assert_eq!(greeted.command("a NOOP"), ["a OK Nothing done."]);
    drop(crowd);
    // And so is one who comes when there is room again.
    let mut tries = 0;
    loop {
        let tcp = TcpStream::connect(usher.imap()).unwrap();
        let mut first = [0; 1];
        if std::io::Read::read(&mut &tcp, &mut first).is_ok_and(|read| read == 1) {
            break;
        }
        tries += 1;
        assert!(tries < 1000, "no service returns");
    }
}

fn behind_a_balancer(from: &str) -> Usher {
    let setup = Setup::new();
    let address = setup.at(10143);
    let held = archive(Options { proxy_header: true, ..Options::named("ih.test") }, address);
    held.add_user("anna@example.com", "secret");
    let keys = format!("proxy_protocol = {{ from = [\"{from}\"] }}\n");
    setup
        .imap(&format!("{keys}plaintext_from = [\"192.0.2.0/24\"]\n"))
        .imaps(&keys)
        .host("ih.test", address, "tls = \"none\", client_address = \"proxy-v2\"", "")
        .limits("proxy_header = \"500ms\"")
        .users(&[("anna@example.com", "ih.test")])
        .start()
}

#[test]
fn a_proxy_header_is_believed_from_its_senders() {
    let usher = behind_a_balancer("127.0.0.0/8");
    // Version 1 in front of TLS; the address goes on to the host and into the log.
    let mut client = Client::plain(usher.imaps());
    client.send("PROXY TCP4 192.0.2.7 192.0.2.1 50000 993\r\n");
    client.start_tls(config());
    client.line();
    client.login("anna@example.com", "secret");
    usher.wait_for_log("login client=192.0.2.7:50000");
    // Version 2 in front of a greeting, together with the first command.
    let mut header =
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c\xc0\x00\x02\x08\xc0\x00\x02\x01\xc3\x50\x00\x8f".to_vec();
    header.extend_from_slice(b"a NOOP\r\n");
    let mut client = Client::plain(usher.imap());
    client.send(header);
    assert!(client.line().contains("AUTH=PLAIN"), "plaintext is for 192.0.2.0/24");
    assert_eq!(client.line(), "a OK Nothing done.");
    // LOCAL: the balancer speaks for itself.
    let mut client = Client::plain(usher.imap());
    client.send(b"\r\n\r\n\0\r\nQUIT\n\x20\x00\x00\x00");
    assert!(client.line().contains("LOGINDISABLED"), "127.0.0.1 is no 192.0.2.0/24");
}

#[test]
fn a_missing_or_broken_proxy_header_ends_the_connection() {
    let usher = behind_a_balancer("127.0.0.0/8");
    let long = [b"PROXY TCP4 ".as_slice(), &[b'1'; 200]].concat();
    for sent in [
        &b""[..],
        b"a NOOP\r\n",
        b"PROXY TCP4 192.0.2.7 192.0.2.1 50000",
        b"PROXY TCP4 192.0.2.7 nonsense 50000 993\r\n",
        &long,
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0f\xc0\x00\x02\x08\xc0\x00\x02\x01\xc3\x50\x00\x8f\x05\x00\x09",
    ] {
        let mut client = Client::plain(usher.imap());
        client.send(sent);
        assert_eq!(client.rest().0, "", "{sent:?}");
    }
    usher.wait_for_logs("cause=\"bad-proxy-header\"", 6);
    let usher = behind_a_balancer("192.0.2.0/24");
    let mut client = Client::plain(usher.imap());
    let _ = client.try_send(b"PROXY TCP4 192.0.2.7 192.0.2.1 50000 143\r\n");
    assert_eq!(client.rest().0, "", "127.0.0.1 may send none");
}
