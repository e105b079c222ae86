//! The backends of the contest, in a process of their own so that their work is nobody's: an IMAP server that takes
//! every login, and the HTTP service that tells nginx where a user is.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::error::Error;
use std::io::{BufRead, BufReader, Read};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Child, Command, Stdio};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Octets of each message.
pub(crate) const MESSAGE: usize = 1 << 20;
/// The argument by which the program becomes the stub.
pub(crate) const WORD: &str = "stub";

const GREETING: &[u8] =
    b"* OK [CAPABILITY IMAP4rev1 SASL-IR LITERAL+ AUTH=PLAIN AUTH=SCRAM-SHA-256] ready\r\n";

/// The running stub, which ends when this is dropped.
pub(crate) struct Stub {
    child: Child,
    imap: u16,
    auth: u16,
}

impl Stub {
    /// Starts it.
    pub(crate) fn start() -> Result<Self, Box<dyn Error>> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg(WORD)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut said = String::new();
        BufReader::new(child.stdout.take().ok_or("no output")?).read_line(&mut said)?;
        let (imap, auth) = said.trim().split_once(' ').ok_or("the stub does not start")?;
        Ok(Self { imap: imap.parse()?, auth: auth.parse()?, child })
    }

    /// The IMAP server; it is at any other address of 127.0.0.0/8 as well.
    pub(crate) fn imap(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.imap).into()
    }

    /// The service that nginx asks.
    pub(crate) fn auth(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.auth).into()
    }
}

impl Drop for Stub {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Serves until standard input ends.
pub(crate) fn serve() -> Result<(), Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let bind = async || TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).await;
    let (imap, auth) = runtime.block_on(async { Ok::<_, std::io::Error>((bind().await?, bind().await?)) })?;
    let port = imap.local_addr()?.port();
    println!("{port} {}", auth.local_addr()?.port());
    runtime.spawn(accept(imap, |tcp| async { drop(converse(tcp).await) }));
    runtime.spawn(accept(auth, move |tcp| async move { drop(tell(tcp, port).await) }));
    std::io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}

async fn accept<F: Future<Output = ()> + Send + 'static>(
    listener: TcpListener,
    serve: impl Fn(TcpStream) -> F,
) {
    while let Ok((tcp, _)) = listener.accept().await {
        let _ = tcp.set_nodelay(true);
        tokio::spawn(serve(tcp));
    }
}

/// Tells one user's home in the words of nginx's `auth_http`.
async fn tell(mut tcp: TcpStream, port: u16) -> std::io::Result<()> {
    let mut asked = Vec::new();
    while !asked.ends_with(b"\r\n\r\n") {
        if tcp.read_buf(&mut asked).await? == 0 {
            return Ok(());
        }
    }
    let answer =
        format!("HTTP/1.0 200 OK\r\nAuth-Status: OK\r\nAuth-Server: 127.0.0.1\r\nAuth-Port: {port}\r\n\r\n");
    tcp.write_all(answer.as_bytes()).await
}

/// One IMAP session.
async fn converse(tcp: TcpStream) -> std::io::Result<()> {
    let mut archive = Archive { tcp, unread: Vec::new() };
    archive.tcp.write_all(GREETING).await?;
    loop {
        let Some(line) = archive.command().await? else { return Ok(()) };
        let mut words = line.split(' ');
        let tag = words.next().unwrap_or_default().to_owned();
        let command = words.next().unwrap_or_default().to_ascii_uppercase();
        let mut answer = String::new();
        match command.as_str() {
            "CAPABILITY" => {
                answer.push_str("* CAPABILITY IMAP4rev1 SASL-IR LITERAL+ AUTH=PLAIN AUTH=SCRAM-SHA-256\r\n")
            }
            "AUTHENTICATE" => {
                let (mechanism, mut initial) = (words.next(), words.next().map(str::to_owned));
                if initial.is_none() {
                    archive.tcp.write_all(b"+ \r\n").await?;
                    initial = archive.line().await?;
                }
                if mechanism == Some("SCRAM-SHA-256") {
                    archive.tell(&first_message(&initial.unwrap_or_default())).await?;
                    archive.tell("v=cm1GNHBxVjhTN3N1QW9aV2phNGRKUmtGc0tRPQ==").await?;
                }
            }
            "IDLE" => {
                archive.tcp.write_all(b"+ idling\r\n").await?;
                archive.line().await?;
            }
            "SELECT" => answer.push_str("* 1 EXISTS\r\n* OK [UIDVALIDITY 1] valid\r\n"),
            "FETCH" => archive.send_messages(words.next()).await?,
            "LOGOUT" => answer.push_str("* BYE\r\n"),
            _ => {}
        }
        let code = match command.as_str() {
            "LOGIN" | "AUTHENTICATE" => "[CAPABILITY IMAP4rev1 LITERAL+ IDLE UIDPLUS] ",
            _ => "",
        };
        answer.push_str(&format!("{tag} OK {code}done\r\n"));
        archive.tcp.write_all(answer.as_bytes()).await?;
        if command == "LOGOUT" {
            return Ok(());
        }
    }
}

/// What a server of SCRAM says first to a client's first message.
fn first_message(client: &str) -> String {
    let said = STANDARD.decode(client).unwrap_or_default();
    let said = String::from_utf8_lossy(&said).into_owned();
    let nonce = said.rsplit_once("r=").map(|(_, nonce)| nonce.to_owned()).unwrap_or_default();
    format!("r={nonce}3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92EQSXCQ==,i=4096")
}

struct Archive {
    tcp: TcpStream,
    unread: Vec<u8>,
}

impl Archive {
    /// One command, its literals in their places; `None` at the end.
    async fn command(&mut self) -> std::io::Result<Option<String>> {
        let Some(mut command) = self.line().await? else { return Ok(None) };
        while let Some((head, size)) = command.strip_suffix('}').and_then(|head| head.rsplit_once('{')) {
            let waits = !size.ends_with('+');
            let size = size.trim_end_matches('+').parse().unwrap_or(0);
            let head = head.to_owned();
            if waits {
                self.tcp.write_all(b"+ \r\n").await?;
            }
            while self.unread.len() < size {
                if self.tcp.read_buf(&mut self.unread).await? == 0 {
                    return Ok(None);
                }
            }
            let literal: Vec<u8> = self.unread.drain(..size).collect();
            let Some(rest) = self.line().await? else { return Ok(None) };
            command = format!("{head}{}{rest}", String::from_utf8_lossy(&literal));
        }
        Ok(Some(command))
    }

    /// Says something that the client answers.
    async fn tell(&mut self, message: &str) -> std::io::Result<()> {
        self.tcp.write_all(format!("+ {}\r\n", STANDARD.encode(message)).as_bytes()).await?;
        self.line().await.map(drop)
    }

    async fn line(&mut self) -> std::io::Result<Option<String>> {
        loop {
            if let Some(end) = self.unread.iter().position(|octet| *octet == b'\n') {
                let line: Vec<u8> = self.unread.drain(..=end).collect();
                return Ok(Some(String::from_utf8_lossy(&line).trim_end().to_owned()));
            }
            if self.tcp.read_buf(&mut self.unread).await? == 0 {
                return Ok(None);
            }
        }
    }

    /// Messages `1:n`, each a literal of its own.
    async fn send_messages(&mut self, range: Option<&str>) -> std::io::Result<()> {
        let last = range.and_then(|range| range.strip_prefix("1:")?.parse().ok()).unwrap_or(1);
        let mut body =
            b"Sixty-two octets of text and the end of a line, again and again.\r\n".repeat(MESSAGE / 66 + 1);
        body.truncate(MESSAGE);
        for number in 1..=last {
            let head = format!("* {number} FETCH (BODY[] {{{MESSAGE}}}\r\n");
            self.tcp.write_all(head.as_bytes()).await?;
            self.tcp.write_all(&body).await?;
            self.tcp.write_all(b")\r\n").await?;
        }
        Ok(())
    }
}
