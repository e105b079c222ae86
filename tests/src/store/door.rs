//! A way to a server on which things can go wrong.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// What happens there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Mode {
    /// Nothing goes wrong.
    Open,
    /// Everything takes this long, each time: 1.5 s.
    Slow,
    /// Nothing comes through, and nobody is told.
    Cut,
    /// What comes back is not what was sent.
    Garbage,
}

/// The way.
pub struct Door {
    pub address: SocketAddr,
    mode: Arc<AtomicU8>,
    connections: Arc<Mutex<Vec<TcpStream>>>,
}

impl Door {
    /// Opens one at `address`, which leads `to`.
    pub fn open(address: SocketAddr, to: SocketAddr) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        let (mode, connections) = (Arc::new(AtomicU8::new(0)), Arc::<Mutex<Vec<TcpStream>>>::default());
        let (shared, kept) = (mode.clone(), connections.clone());
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let Ok(server) = TcpStream::connect(to) else { continue };
                for end in [&client, &server] {
                    end.set_nodelay(true).unwrap();
                }
                let ends = [&client, &server].map(|end| end.try_clone().unwrap());
                kept.lock().unwrap().extend(ends);
                let both = (client.try_clone().unwrap(), server.try_clone().unwrap());
                let (there, back) = (shared.clone(), shared.clone());
                thread::spawn(move || pass(both.0, both.1, &there, false));
                thread::spawn(move || pass(server, client, &back, true));
            }
        });
        Self { address, mode, connections }
    }

    /// From now on, on all connections.
    pub fn be(&self, mode: Mode) {
        self.mode.store(mode as u8, Ordering::SeqCst);
    }

    /// Closes all connections.
    pub fn close_all(&self) {
        for connection in self.connections.lock().unwrap().drain(..) {
            let _ = connection.shutdown(Shutdown::Both);
        }
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream, mode: &AtomicU8, is_back: bool) {
    let mut room = [0; 16 * 1024];
    while let Ok(count @ 1..) = from.read(&mut room) {
        let bytes = &room[..count];
        let mode = mode.load(Ordering::SeqCst);
        let passed = if mode == Mode::Cut as u8 {
            Ok(())
        } else if mode == Mode::Garbage as u8 && is_back {
            to.write_all(b"\xff\x00 garbage \r\n\r\n").and_then(|()| to.write_all(&bytes[count / 2..]))
        } else {
            if mode == Mode::Slow as u8 && is_back {
                thread::sleep(Duration::from_millis(1500));
            }
            to.write_all(bytes)
        };
        if passed.is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}
