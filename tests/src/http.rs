//! HTTP as a test says it: octets in, parsed answers out.

use crate::client::{Client, config};
use serde_json::Value;
use std::net::SocketAddr;

/// An answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    /// The first field of this name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The body as a text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    /// Whether the connection ends with it.
    pub fn closes(&self) -> bool {
        self.header("connection") == Some("close")
    }
}

/// A TLS connection to a listener for HTTPS that has asked for `mail.test`.
pub fn connect(address: SocketAddr) -> Client {
    let mut client = Client::plain(address);
    client.start_tls(config());
    client
}

/// Sends `request` on a connection of its own and reads one answer.
pub fn ask(address: SocketAddr, request: impl AsRef<[u8]>) -> Answer {
    let mut client = connect(address);
    client.send(request);
    client.http_answer()
}

/// A request for `target` with these fields, each with its CRLF.
pub fn get(target: &str, fields: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: mail.test\r\n{fields}\r\n")
}

/// `Authorization: Basic` for `user`, with its CRLF.
pub fn basic(user: &str) -> String {
    use base64::Engine;
    let pair = base64::engine::general_purpose::STANDARD.encode(format!("{user}:secret"));
    format!("Authorization: Basic {pair}\r\n")
}

impl Client {
    /// Reads one answer, interim ones left out.
    pub fn http_answer(&mut self) -> Answer {
        loop {
            let answer = self.one_answer(false);
            if answer.status >= 200 || answer.status == 101 {
                return answer;
            }
        }
    }

    /// Reads one answer, to a HEAD where `head_only` says so, or an interim one.
    pub fn one_answer(&mut self, head_only: bool) -> Answer {
        let line = self.line();
        let status: u16 =
            line.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or_else(|| panic!("{line}"));
        let mut headers = Vec::new();
        loop {
            let line = self.line();
            if line.is_empty() {
                break;
            }
            let (name, value) = line.split_once(':').unwrap_or_else(|| panic!("{line}"));
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        let mut answer = Answer { status, headers, body: Vec::new() };
        if head_only || status < 200 || matches!(status, 204 | 304) {
            return answer;
        }
        if let Some(length) = answer.header("content-length") {
            answer.body = self.octets(length.parse().unwrap());
        } else if answer.header("transfer-encoding").is_some() {
            loop {
                let line = self.line();
                let size = usize::from_str_radix(line.split(';').next().unwrap(), 16).unwrap();
                if size == 0 {
                    while !self.line().is_empty() {}
                    break;
                }
                answer.body.extend(self.octets(size));
                assert_eq!(self.line(), "");
            }
        } else {
            answer.body = self.rest().0.into_bytes();
        }
        answer
    }
}
