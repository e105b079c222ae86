//! Resident memory of connections over HTTPS whose clients do nothing: idle ones, and readers that have stopped.

use crate::Outcome;
use crate::https::{Contest, LOGIN};
use crate::idle::settle;
use crate::peers::memory;
use crate::table::{Row, Table};
use std::net::SocketAddr;
use usher_tests::client::{Client, config_with_alpn};
use usher_tests::frames::{self, END_HEADERS, END_STREAM, HEADERS, WINDOW_UPDATE, connect_with, frame};

const ROUNDS: usize = 3;
/// Streams of a connection.
const STREAMS: u32 = 100;
/// SETTINGS_INITIAL_WINDOW_SIZE.
const WINDOW: u16 = 4;

/// Opens a connection that is held.
type Hold = fn(SocketAddr) -> Client;

pub(crate) fn measure(table: &mut Table) -> Outcome {
    let mut rows = [
        (row("idle HTTP/2 connection").at_most(16.0, 12.0), 1000, 1, idle as Hold),
        (row("HTTP/1.1 client that does not read").at_most(64.0, 32.0), 100, 1, one_stalled),
        (row("HTTP/2 stream whose window is used up").at_most(16.0, 8.0), 8, STREAMS, stalled),
        (row("HTTP/2 stream whose window is none").at_most(16.0, 8.0), 8, STREAMS, without_window),
    ];
    for _ in 0..ROUNDS {
        for (row, connections, each, hold) in &mut rows {
            // Anew each time: what one measurement leaves behind is not the next one's.
            let contest = Contest::start()?;
            for (name, address, pid) in contest.proxies.into_iter().take(3) {
                drop((0..*connections / 4).map(|_| hold(address)).collect::<Vec<_>>());
                settle();
                let before = memory(pid);
                let held: Vec<_> = (0..*connections).map(|_| hold(address)).collect();
                settle();
                row.add(name, (memory(pid) - before) / f64::from(*connections * *each) / 1024.0);
                drop(held);
            }
        }
    }
    rows.into_iter().for_each(|(row, ..)| table.add(row));
    Ok(())
}

fn row(what: &str) -> Row {
    Row::new(format!("{what}: memory"), "KiB")
}

fn request(stream: u32, path: &str) -> Vec<u8> {
    let (name, value) = LOGIN.split_once(": ").unwrap_or_default();
    frame(HEADERS, END_HEADERS | END_STREAM, stream, &frames::get_block(path, &[(name, value)]))
}

/// One that has been used.
fn idle(address: SocketAddr) -> Client {
    let mut client = connect_with(address, &[]);
    client.send(request(1, "/1k"));
    while client.frame_of(1).flags & END_STREAM == 0 {}
    client
}

fn one_stalled(address: SocketAddr) -> Client {
    let mut client = Client::plain(address);
    client.start_tls(config_with_alpn(&["http/1.1"]));
    client.send(format!("GET /10m HTTP/1.1\r\nhost: mail.test\r\n{LOGIN}\r\n\r\n"));
    client
}

fn stalled(address: SocketAddr) -> Client {
    streams(connect_with(address, &[]))
}

fn without_window(address: SocketAddr) -> Client {
    streams(connect_with(address, &[(WINDOW, 0)]))
}

/// Many streams that only their own windows hold back.
fn streams(mut client: Client) -> Client {
    client.send(frame(WINDOW_UPDATE, 0, 0, &(1_u32 << 30).to_be_bytes()));
    for stream in (0..STREAMS).map(|at| 2 * at + 1) {
        client.send(request(stream, "/10m"));
    }
    client
}
