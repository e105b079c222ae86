//! Who says whose a token is (RFC 7662).

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener};
use std::thread;

/// Says of the token `good-NAME` that it is NAME's, and of others that they are not active.
pub fn introspection(address: SocketAddr) {
    let listener = TcpListener::bind(address).unwrap();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
            let asked = lines.next().unwrap_or_default();
            while lines.next().is_some_and(|line| !line.is_empty()) {}
            let name = asked.split("token=good-").nth(1).and_then(|rest| rest.split([' ', '&']).next());
            let said = match name {
                Some(name) => format!("{{\"active\":\"true\",\"username\":\"{name}@example.com\"}}"),
                None => "{\"active\":\"false\"}".to_owned(),
            };
            let head = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}",
                said.len()
            );
            let _ = write!(stream, "{head}\r\nConnection: close\r\n\r\n{said}");
        }
    });
}
