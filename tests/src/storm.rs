//! Logins by the thousand, each from an address of its own, as a PROXY header tells.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

/// Longer than any login takes.
const PATIENCE: Duration = Duration::from_secs(120);

/// Logs in without TLS at `usher`, as if from `client`; returns the tagged answer, and how long it took.
///
/// # Errors
/// When the connection breaks.
pub async fn login(
    usher: SocketAddr,
    client: IpAddr,
    user: &str,
    password: &str,
) -> io::Result<(String, Duration)> {
    tokio::time::timeout(PATIENCE, async {
        let mut tcp = connect(usher).await?;
        let header = format!("PROXY TCP4 {client} 192.0.2.1 50000 143\r\n");
        tcp.write_all(header.as_bytes()).await?;
        let mut seen = Vec::new();
        until(&mut tcp, &mut seen, "* OK").await?;
        let begun = Instant::now();
        tcp.write_all(format!("a LOGIN {user} {password}\r\n").as_bytes()).await?;
        let answer = until(&mut tcp, &mut seen, "a ").await?;
        Ok((answer, begun.elapsed()))
    })
    .await?
}

/// Connects from one of many addresses of this machine: each has only so many ports.
async fn connect(usher: SocketAddr) -> io::Result<TcpStream> {
    use std::sync::atomic::{AtomicU32, Ordering};
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let at = NEXT.fetch_add(1, Ordering::Relaxed) % 250;
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::new(Ipv4Addr::new(127, 200, 0, at as u8 + 1).into(), 0))?;
    let tcp = socket.connect(usher).await?;
    tcp.set_nodelay(true)?;
    Ok(tcp)
}

/// Reads up to a line that begins like this.
async fn until(tcp: &mut TcpStream, seen: &mut Vec<u8>, begins: &str) -> io::Result<String> {
    loop {
        while let Some(lf) = seen.iter().position(|b| *b == b'\n') {
            let line: Vec<u8> = seen.drain(..=lf).collect();
            let line = String::from_utf8_lossy(&line).trim_end().to_owned();
            if line.starts_with(begins) {
                return Ok(line);
            }
        }
        if tcp.read_buf(seen).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}
