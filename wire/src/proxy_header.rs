//! The PROXY protocol, versions 1 and 2, in both directions.
//!
//! The `proxy-header` crate knows the format. This module decides how many bytes to read for it, so that not a single
//! byte of what follows is taken, and what the result means.

use proxy_header::{ParseConfig, ProxiedAddress, ProxyHeader, SslInfo, Tlv};
use std::net::SocketAddr;

/// CRC32C.
const CHECKSUM: crc::Crc<u32> = crc::Crc::<u32>::new(&crc::CRC_32_ISCSI);
/// Type of the TLV that holds the checksum.
const CRC32C: u8 = 3;
/// Type of the TLV within `SSL` that holds a client's certificate.
const CLIENT_CERTIFICATE: u8 = 0x28;
/// Longest certificate that is passed on, in bytes: the whole header has 64 KiB.
const CERTIFICATE_CAP: usize = 32 * 1024;
/// Longest version 1 line in bytes, with its CRLF.
const V1_CAP: usize = 107;
const V2_SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";

/// What a header says about the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeaderInfo {
    /// A proxied connection: where it came from and where it went.
    Proxied {
        /// The client.
        source: SocketAddr,
        /// The address it connected to.
        destination: SocketAddr,
    },
    /// The sender speaks for itself (`LOCAL`, `UNKNOWN`): the peer's own address is used.
    Local,
}

/// The header is missing, broken, or longer than any sane one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadHeader;

/// Reads one header without taking a byte too many.
pub struct Reader {
    header: Vec<u8>,
    /// Longest header in bytes.
    cap: usize,
}

/// What a [`Reader`] wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// Read at most this many bytes (at least one) and feed them.
    Need(usize),
    /// The header is complete.
    Done(HeaderInfo),
}

impl Reader {
    /// One for a header of at most `cap` bytes.
    pub fn new(cap: usize) -> Self {
        Self { header: Vec::new(), cap }
    }

    /// Takes bytes: no more than were asked for.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.header.extend_from_slice(bytes);
    }

    /// What comes next.
    ///
    /// # Errors
    /// [`BadHeader`] as soon as the bytes cannot become a header.
    pub fn progress(&self) -> Result<Progress, BadHeader> {
        let have = self.header.len();
        let signed = have.min(V2_SIGNATURE.len());
        if signed > 0 && self.header[..signed] == V2_SIGNATURE[..signed] {
            let total = match self.header.get(14..16) {
                Some(length) => 16 + usize::from(u16::from_be_bytes([length[0], length[1]])),
                None => return Ok(Progress::Need(16 - have)),
            };
            if total > self.cap {
                return Err(BadHeader);
            }
            return if have < total { Ok(Progress::Need(total - have)) } else { self.parse() };
        }
        let word = b"PROXY ";
        if self.header[..have.min(word.len())] != word[..have.min(word.len())] {
            return Err(BadHeader);
        }
        match self.header.last() {
            Some(b'\n') => self.parse(),
            _ if have >= V1_CAP => Err(BadHeader),
            // The shortest line is "PROXY UNKNOWN\r\n"; from there on one byte at a time, so that none is taken from
            // what follows.
            _ if have < 15 => Ok(Progress::Need(15 - have)),
            _ => Ok(Progress::Need(1)),
        }
    }

    /// Whether the checksum, if there is one, is correct: CRC32C of the header with the checksum set to zero.
    fn is_intact(&self) -> bool {
        if !self.header.starts_with(V2_SIGNATURE) {
            return true;
        }
        let mut at = self.header.get(13).map_or(0, |family| tlvs_from(*family));
        let mut sums = Vec::new();
        while let Some([kind, high, low]) = self.header.get(at..at + 3) {
            let length = usize::from(u16::from_be_bytes([*high, *low]));
            if *kind == CRC32C {
                sums.push(at + 3..at + 3 + length);
            }
            at += 3 + length;
        }
        let [range] = sums.as_slice() else { return sums.is_empty() };
        let Some(sent) = self.header.get(range.clone()).and_then(|sent| <[u8; 4]>::try_from(sent).ok())
        else {
            return false;
        };
        let mut zeroed = self.header.clone();
        if let Some(place) = zeroed.get_mut(range.clone()) {
            place.fill(0);
        }
        CHECKSUM.checksum(&zeroed) == u32::from_be_bytes(sent)
    }

    fn parse(&self) -> Result<Progress, BadHeader> {
        let (header, used) =
            ProxyHeader::parse(&self.header, ParseConfig::default()).map_err(|_| BadHeader)?;
        if used != self.header.len() || header.tlvs().any(|tlv| tlv.is_err()) || !self.is_intact() {
            return Err(BadHeader);
        }
        Ok(Progress::Done(match header.proxied_address() {
            Some(a) => HeaderInfo::Proxied { source: a.source, destination: a.destination },
            None => HeaderInfo::Local,
        }))
    }
}

/// Where in a version 2 header the TLVs begin, by its family and protocol.
fn tlvs_from(family: u8) -> usize {
    16 + match family >> 4 {
        1 => 12,
        2 => 36,
        3 => 216,
        _ => 0,
    }
}

/// Which version is sent to a backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// The text line.
    V1,
    /// The binary header.
    V2,
}

/// A client's certificate that has been verified, for the TLV `SSL`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShownCertificate<'a> {
    /// The version of TLS.
    pub version: &'a str,
    /// Whom it names.
    pub name: &'a str,
    /// The certificate, DER.
    pub der: &'a [u8],
}

impl ShownCertificate<'_> {
    /// Of a client that has shown it on this connection.
    fn info(&self) -> SslInfo<'static> {
        let mut info = SslInfo::new(true, true, true, 0);
        info.append_tlv(Tlv::SslVersion(self.version.into()));
        info.append_tlv(Tlv::SslCn(self.name.into()));
        if self.der.len() <= CERTIFICATE_CAP {
            info.append_tlv(Tlv::Custom(CLIENT_CERTIFICATE, self.der.into()));
        }
        info
    }
}

/// Appends the header for a client at `source` that connected to `destination`.
///
/// A v4-mapped address is written as IPv4. Where one end is IPv4 and the other IPv6, both are written as
/// IPv6. `unique_id` and `certificate` go into version 2 alone, as the TLVs `UNIQUE_ID` and `SSL`.
pub fn write(
    version: Version,
    source: SocketAddr,
    destination: SocketAddr,
    unique_id: &str,
    certificate: Option<ShownCertificate<'_>>,
    out: &mut Vec<u8>,
) {
    let (source, destination) = one_family(source, destination);
    let mut header = ProxyHeader::with_address(ProxiedAddress::stream(source, destination));
    let written = match version {
        Version::V1 => header.encode_v1(out),
        Version::V2 => {
            header.append_tlv(Tlv::UniqueId(unique_id.as_bytes().into()));
            if let Some(shown) = certificate {
                header.append_tlv(Tlv::Ssl(shown.info()));
            }
            header.encode_v2(out)
        }
    };
    debug_assert!(written.is_ok(), "two stream addresses of one family always encode");
}

fn one_family(source: SocketAddr, destination: SocketAddr) -> (SocketAddr, SocketAddr) {
    let plain = |a: SocketAddr| SocketAddr::new(a.ip().to_canonical(), a.port());
    let mapped = |a: SocketAddr| match a {
        SocketAddr::V4(v4) => SocketAddr::new(v4.ip().to_ipv6_mapped().into(), v4.port()),
        v6 => v6,
    };
    let (source, destination) = (plain(source), plain(destination));
    if source.is_ipv4() == destination.is_ipv4() {
        (source, destination)
    } else {
        (mapped(source), mapped(destination))
    }
}

#[cfg(test)]
mod tests;
