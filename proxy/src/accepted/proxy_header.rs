//! The PROXY header in front of a client's connection, where a listener demands one.

use ipnet::IpNet;
use std::net::SocketAddr;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::timeout;
use usher_config::snapshot::Limits;
use usher_wire::proxy_header::{HeaderInfo, Progress, Reader};

/// There is no trustworthy header.
pub(crate) struct Untrusted;

/// Reads the header that one of `senders` sent: the client's address and the one that it connected to, or nothing if
/// the sender speaks for itself.
pub(crate) async fn read(
    tcp: &mut TcpStream,
    senders: &[IpNet],
    peer: SocketAddr,
    limits: &Limits,
) -> Result<Option<(SocketAddr, SocketAddr)>, Untrusted> {
    let peer = peer.ip().to_canonical();
    if !senders.iter().any(|network| network.contains(&peer)) {
        return Err(Untrusted);
    }
    let reading = async {
        let mut reader = Reader::new(limits.proxy_header_size);
        let mut buf = [0; 256];
        loop {
            match reader.progress().map_err(|_| Untrusted)? {
                Progress::Done(HeaderInfo::Local) => return Ok(None),
                Progress::Done(HeaderInfo::Proxied { source, destination }) => {
                    return Ok(Some((source, destination)));
                }
                Progress::Need(most) => {
                    let most = most.min(buf.len());
                    let read = tcp.read(&mut buf[..most]).await.map_err(|_| Untrusted)?;
                    if read == 0 {
                        return Err(Untrusted);
                    }
                    reader.feed(&buf[..read]);
                }
            }
        }
    };
    timeout(limits.proxy_header, reading).await.unwrap_or(Err(Untrusted))
}
