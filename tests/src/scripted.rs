//! A backend that does exactly what a test wants, for faults that no real server shows.

use crate::deadline::DEADLINE;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// A listening script.
pub struct Scripted {
    heard: Arc<Mutex<Vec<u8>>>,
}

/// One connection of a script.
pub struct Conn {
    reader: BufReader<TcpStream>,
    heard: Arc<Mutex<Vec<u8>>>,
}

/// A greeting and capabilities good enough for a login.
pub const GREETING: &str = "* OK [CAPABILITY IMAP4rev1 LITERAL+ SASL-IR AUTH=PLAIN] ready\r\n";

impl Scripted {
    /// Runs `script` for every connection to `address`.
    pub fn start(address: SocketAddr, script: impl Fn(Conn) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind(address).expect("the script listens");
        let heard: Arc<Mutex<Vec<u8>>> = Arc::default();
        let (script, all) = (Arc::new(script), heard.clone());
        std::thread::spawn(move || {
            for tcp in listener.incoming().map_while(Result::ok) {
                tcp.set_read_timeout(Some(DEADLINE)).unwrap();
                tcp.set_nodelay(true).unwrap();
                let (script, heard) = (script.clone(), all.clone());
                std::thread::spawn(move || script(Conn { reader: BufReader::new(tcp), heard }));
            }
        });
        Self { heard }
    }

    /// Greets, takes any login, and goes on with `script`.
    pub fn logged_in(address: SocketAddr, script: impl Fn(&mut Conn) + Send + Sync + 'static) -> Self {
        Self::start(address, move |mut conn| {
            conn.send(GREETING);
            if conn.line().is_some() {
                conn.send("L OK [CAPABILITY IMAP4rev1 LITERAL+ IDLE] in\r\n");
                script(&mut conn);
            }
        })
    }

    /// Every octet that has come, over all connections.
    pub fn heard(&self) -> Vec<u8> {
        self.heard.lock().unwrap().clone()
    }
}

impl Conn {
    /// Sends, whether or not anybody listens.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = self.reader.get_mut().write_all(bytes.as_ref());
    }

    /// One line without its line end; `None` at the end of the connection.
    pub fn line(&mut self) -> Option<String> {
        let mut line = Vec::new();
        match self.reader.read_until(b'\n', &mut line) {
            Ok(read) if read > 0 => {
                self.heard.lock().unwrap().extend_from_slice(&line);
                Some(String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']).to_owned())
            }
            _ => None,
        }
    }

    /// So many octets.
    pub fn octets(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        self.reader.read_exact(&mut bytes).expect("octets come");
        self.heard.lock().unwrap().extend_from_slice(&bytes);
        bytes
    }

    /// Everything until the end of the connection.
    pub fn rest(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let _ = self.reader.read_to_end(&mut bytes);
        self.heard.lock().unwrap().extend_from_slice(&bytes);
        bytes
    }

    /// The connection itself.
    pub fn tcp(&self) -> &TcpStream {
        self.reader.get_ref()
    }
}

/// The octets that come, for whoever speaks something else than lines on it.
impl Read for Conn {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        self.reader.read(buf)
    }
}

impl Write for Conn {
    fn write(&mut self, buf: &[u8]) -> std::io::Result<usize> {
        self.reader.get_mut().write(buf)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.reader.get_mut().flush()
    }
}
