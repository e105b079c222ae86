use super::super::{Making, Tickets, server_configs};
use super::*;
use crate::tls::{CertificateSource, Certificates};
use rustls::pki_types::ServerName;
use rustls::pki_types::pem::PemObject;
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use std::collections::HashMap;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsConnector;
use usher_config::snapshot::Tls;

const NAME: &str = "mail.test";

struct House {
    server: Arc<ServerConfig>,
    client: TlsConnector,
    listener: TcpListener,
}

async fn house(version: &'static SupportedProtocolVersion) -> House {
    let dir = tempfile::tempdir().unwrap();
    let loaded = CertificateSource::SelfSigned { state_dir: dir.path(), name: NAME }.load().unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(rustls::pki_types::CertificateDer::from_pem_file(&loaded.chain).unwrap()).unwrap();
    let certificates = Arc::new(Certificates::new(vec![loaded], Arc::default()));
    let making = Making {
        tls: &Tls::default(),
        certificates: &certificates,
        ends: Vec::new(),
        tickets: &Arc::new(Tickets::new().unwrap()),
        clients: None,
        verifiers: &HashMap::new(),
    };
    let configs = server_configs(making).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let client = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    House {
        server: configs.imap(None).choose(true).clone(),
        client: TlsConnector::from(Arc::new(client)),
        listener: TcpListener::bind("127.0.0.1:0").await.unwrap(),
    }
}

fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at * 31 % 251) as u8).collect()
}

/// Passes on what comes, byte by byte at first and then in odd pieces.
async fn dribble(from: impl AsyncRead, to: impl AsyncWrite) {
    let (mut from, mut to) = (std::pin::pin!(from), std::pin::pin!(to));
    let (mut passed, mut piece) = (0, vec![0; 5000]);
    loop {
        let most = if passed < 4000 { 1 } else { 1 + passed * 7 % 4999 };
        let count = from.read(&mut piece[..most]).await.unwrap_or(0);
        if count == 0 || to.write_all(&piece[..count]).await.is_err() {
            let _ = to.shutdown().await;
            return;
        }
        passed += count;
    }
}

#[tokio::test]
async fn whatever_way_it_is_cut_it_arrives_whole_in_both_directions() {
    for version in [&TLS12, &TLS13] {
        let House { server, client, listener } = house(version).await;
        let between = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, middle) = (listener.local_addr().unwrap(), between.local_addr().unwrap());
        tokio::spawn(async move {
            let (front, _) = between.accept().await.unwrap();
            let back = TcpStream::connect(address).await.unwrap();
            front.set_nodelay(true).unwrap();
            back.set_nodelay(true).unwrap();
            let ((from_client, to_client), (from_server, to_server)) =
                (front.into_split(), back.into_split());
            tokio::join!(dribble(from_client, to_server), dribble(from_server, to_client));
        });
        let echo = tokio::spawn(async move {
            let (tcp, _) = listener.accept().await.unwrap();
            let mut stream = Secured::accept(tcp, &server).await.map_err(|(error, _)| error).unwrap();
            assert_eq!(stream.server_name(), Some(NAME));
            let mut piece = vec![0; 3000];
            loop {
                match stream.read(&mut piece).await.unwrap() {
                    0 => break,
                    count => stream.write_all(&piece[..count]).await.unwrap(),
                }
            }
            stream.shutdown().await.unwrap();
            assert!(stream.partial.is_empty() && stream.plain.is_empty() && stream.unsent.is_empty());
        });
        let tcp = TcpStream::connect(middle).await.unwrap();
        let stream = client.connect(ServerName::try_from(NAME).unwrap(), tcp).await.unwrap();
        let (mut read, mut write) = tokio::io::split(stream);
        let sent = pattern(300_000);
        let (mut echoed, said) = (Vec::new(), sent.clone());
        let writer = tokio::spawn(async move {
            write.write_all(&said).await.unwrap();
            write.shutdown().await.unwrap();
        });
        // The end is the one that TLS knows, or this fails.
        read.read_to_end(&mut echoed).await.unwrap();
        assert!(echoed == sent, "{version:?}: {} octets of {}", echoed.len(), sent.len());
        writer.await.unwrap();
        echo.await.unwrap();
    }
}

#[tokio::test]
async fn a_client_that_takes_nothing_holds_one_chunk_and_loses_nothing() {
    let House { server, client, listener } = house(&TLS13).await;
    let address = listener.local_addr().unwrap();
    let connecting = tokio::spawn(async move {
        let tcp = TcpStream::connect(address).await.unwrap();
        client.connect(ServerName::try_from(NAME).unwrap(), tcp).await.unwrap()
    });
    let (tcp, _) = listener.accept().await.unwrap();
    let mut stream = Secured::accept(tcp, &server).await.map_err(|(error, _)| error).unwrap();
    let mut reader = connecting.await.unwrap();
    let sent = pattern(64 << 20);
    let mut written = 0;
    std::future::poll_fn(|cx| {
        while let Poll::Ready(count) = Pin::new(&mut stream).poll_write(cx, &sent[written..]) {
            written += count.unwrap();
        }
        Poll::Ready(())
    })
    .await;
    assert!(written < sent.len(), "the system takes all of it");
    assert!(stream.unsent.rest().len() <= SEALED, "{} octets are kept", stream.unsent.rest().len());
    let rest = tokio::spawn(async move {
        stream.write_all(&sent[written..]).await.unwrap();
        stream.shutdown().await.unwrap();
        assert!(stream.unsent.is_empty());
        sent
    });
    let mut received = Vec::new();
    reader.read_to_end(&mut received).await.unwrap();
    assert!(received == rest.await.unwrap());
}
