//! What an octet costs before login: an attacker's against an honest client's.

use crate::Outcome;
use crate::table::{Row, Table};
use std::hint::black_box;
use std::time::Instant;
use usher_wire::imap::capability::{Offer, Privacy};
use usher_wire::imap::preauth::{Preauth, Step, greet};
use usher_wire::imap::reply::Code;

/// Octets worked on in one measurement.
const OCTETS: usize = 8 << 20;
const RUNS: usize = 5;

pub(crate) fn measure(table: &mut Table) -> Outcome {
    let login = "a LOGIN anna@example.com correct-horse\r\n";
    let honest = nanoseconds(login.as_bytes());
    let mut row = Row::new("an octet of an honest login", "ns");
    row.add("usher", honest);
    table.add(row);
    for (name, input) in [
        ("octet by octet NOOP", "a NOOP\r\n".repeat(100)),
        ("CAPABILITY flood", "a CAPABILITY\r\n".repeat(1000)),
        ("cancelled SASL", "a AUTHENTICATE PLAIN\r\n*\r\n".repeat(1000)),
        ("bad base64", format!("a AUTHENTICATE PLAIN {}\r\n", "!".repeat(12_000))),
        ("brackets", format!("a NOOP {}\r\n", "(".repeat(8000))),
        ("long line", "x".repeat(8300)),
        ("many literals", format!("a ID ({})\r\n", vec!["{1+}\r\nk {1+}\r\nv"; 30].join(" "))),
        ("large literal", format!("a LOGIN {{4096+}}\r\n{} x\r\n", "y".repeat(4096))),
        ("refused literals", format!("a NOOP {{4096+}}\r\n{}\r\n", "y".repeat(4096))),
        ("quotes", format!("a LOGIN \"{}\" x\r\n", "\\\"".repeat(3900))),
        ("empty lines", "\r\n".repeat(3)),
        ("tags without end", "a".repeat(60) + " FOO\r\n"),
    ] {
        let cost = nanoseconds(input.as_bytes());
        let mut row =
            Row::new(format!("an octet of input before login: {name}"), "honest octets").at_most(10.0, 5.0);
        row.add("usher", cost / honest);
        table.add(row);
    }
    Ok(())
}

/// The median over a few runs, in connections that say `input` until they are closed.
fn nanoseconds(input: &[u8]) -> f64 {
    let mut runs: Vec<f64> = (0..RUNS)
        .map(|_| {
            let begun = Instant::now();
            let mut worked = 0;
            while worked < OCTETS {
                worked += connection(input);
            }
            begun.elapsed().as_nanos() as f64 / worked as f64
        })
        .collect();
    runs.sort_by(f64::total_cmp);
    runs[RUNS / 2]
}

/// One connection that says `input`; returns how many octets of it were taken.
fn connection(input: &[u8]) -> usize {
    let mut preauth = Preauth::new(Privacy::Tls, Offer::passwords());
    let mut out = Vec::new();
    greet(Privacy::Tls, &Offer::passwords(), "mail.example.com", &mut out);
    let mut taken = 0;
    loop {
        match preauth.step(&mut out) {
            Step::Answered => {}
            Step::Need => {
                let rest = &input[taken..];
                let most = rest.len().min(preauth.room()).min(2048);
                if most == 0 {
                    return taken;
                }
                preauth.feed(&rest[..most]);
                taken += most;
                black_box(&out);
                out.clear();
            }
            Step::StartTls(_) => return taken.max(1),
            Step::Claim(claim) => preauth.refuse(&claim, Code::AuthenticationFailed, None, &mut out),
            Step::Close(_) => return taken.max(1),
        }
    }
}
