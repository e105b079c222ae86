use super::*;
use proptest::prelude::*;

const CAP: usize = 16 * 1024;

/// Feeds `stream` as asked and tells what came out and how many bytes were taken.
fn read(stream: &[u8]) -> (Result<HeaderInfo, BadHeader>, usize) {
    let mut reader = Reader::new(CAP);
    let mut taken = 0;
    loop {
        match reader.progress() {
            Err(bad) => return (Err(bad), taken),
            Ok(Progress::Done(told)) => return (Ok(told), taken),
            Ok(Progress::Need(most)) => {
                let Some(next) = stream.get(taken..(taken + most).min(stream.len())) else { panic!() };
                if next.is_empty() {
                    return (Err(BadHeader), taken);
                }
                reader.feed(next);
                taken += next.len();
            }
        }
    }
}

#[test]
fn what_is_read() {
    let proxied = HeaderInfo::Proxied {
        source: "192.0.2.1:5000".parse().unwrap(),
        destination: "192.0.2.2:993".parse().unwrap(),
    };
    assert_eq!(read(b"PROXY TCP4 192.0.2.1 192.0.2.2 5000 993\r\nabc"), (Ok(proxied), 41));
    assert_eq!(read(b"PROXY UNKNOWN\r\nabc"), (Ok(HeaderInfo::Local), 15));
    assert_eq!(read(b"\r\n\r\n\0\r\nQUIT\n\x20\x00\x00\x00abc"), (Ok(HeaderInfo::Local), 16));
    for bad in [
        &b"a LOGIN x y\r\n"[..],
        b"\x16\x03\x01\x02\x00",
        b"PROXY TCP4 nonsense\r\n",
        b"PROXY TCP4 192.0.2.1 192.0.2.2 5000 99999\r\n",
        // A TLV that says it is longer than the header.
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0f\x7f\0\0\x01\x7f\0\0\x01\0\x01\0\x02\x05\x00\x09",
        // A length far beyond any header.
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\xff\xff",
    ] {
        assert_eq!(read(bad).0, Err(BadHeader), "{bad:?}");
    }
}

#[test]
fn checksums_are_verified() {
    let mut header = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x13\x7f\0\0\x01\x7f\0\0\x01\0\x01\0\x02".to_vec();
    header.extend_from_slice(b"\x03\0\x04\0\0\0\0");
    let sum = CHECKSUM.checksum(&header);
    let at = header.len() - 4;
    header[at..].copy_from_slice(&sum.to_be_bytes());
    assert!(read(&header).0.is_ok());
    for octet in [12, 20, 27, at, at + 3] {
        let mut broken = header.clone();
        broken[octet] ^= 0x40;
        assert_eq!(read(&broken).0, Err(BadHeader), "{octet}");
    }
    // One that is no checksum, and two.
    let mut short = header[..28].to_vec();
    short[15] = 12 + 5;
    short.extend_from_slice(b"\x03\0\x02\0\0");
    assert_eq!(read(&short).0, Err(BadHeader));
    let mut twice = header.clone();
    twice[15] += 7;
    twice.extend_from_slice(&header[28..]);
    assert_eq!(read(&twice).0, Err(BadHeader));
}

#[test]
fn a_client_certificate_fits() {
    let mut header =
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x00\x7f\0\0\x01\x7f\0\0\x01\0\x01\0\x02\x20\x0c\x00".to_vec();
    header.resize(header.len() + 0xc00, 7);
    let length = u16::try_from(header.len() - 16).unwrap();
    header[14..16].copy_from_slice(&length.to_be_bytes());
    assert!(read(&header).0.is_ok());
}

proptest! {
    #[test]
    fn written_is_read(source: [u8; 4], destination: [u8; 4], sp: u16, dp: u16, v2: bool, mapped: bool) {
        let source_ip = std::net::Ipv4Addr::from(source);
        let told = SocketAddr::from((source, sp));
        let given = if mapped { SocketAddr::from((source_ip.to_ipv6_mapped(), sp)) } else { told };
        let destination = SocketAddr::from((destination, dp));
        let mut out = Vec::new();
        write(if v2 { Version::V2 } else { Version::V1 }, given, destination, "id", None, &mut out);
        let length = out.len();
        out.extend_from_slice(b"* OK hello\r\n");
        prop_assert_eq!(read(&out), (Ok(HeaderInfo::Proxied { source: told, destination }), length));
    }

    #[test]
    fn nothing_makes_it_panic_or_grow(bytes in proptest::collection::vec(any::<u8>(), 0..4096)) {
        let (_, taken) = read(&bytes);
        prop_assert!(taken <= CAP);
    }
}
