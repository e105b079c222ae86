//! What a login by SCRAM costs usher beside one by PLAIN: one conversation is passed on, the other is none.

use crate::Outcome;
use crate::client::{By, sessions_by, user};
use crate::client::{RUNTIME, USERS};
use crate::peers::cpu;
use crate::stub::Stub;
use crate::table::{Row, Table};
use usher_tests::client::Client;
use usher_tests::usher::Setup;

const ROUNDS: usize = 7;
const SESSIONS: usize = 4000;
const AT_ONCE: usize = 16;

pub(crate) fn measure(table: &mut Table) -> Outcome {
    let stub = Stub::start()?;
    let users: Vec<String> = (0..USERS).map(user).collect();
    let users: Vec<_> = users.iter().map(|user| (user.as_str(), "ih.test")).collect();
    let probed = "health = { interval = \"10m\", imap = { probe = \"greeting\" } }";
    let usher = Setup::new()
        .environment("RUST_LOG", "warn,usher::app=info")
        .imap("plaintext_from = [\"127.0.0.0/8\"]")
        .host("ih.test", stub.imap(), "tls = \"none\"", probed)
        .users(&users)
        .start();
    while !Client::tls(usher.imaps()).command("a CAPABILITY").join(" ").contains("AUTH=SCRAM-SHA-256") {
        std::thread::yield_now();
    }
    let mut row =
        Row::new("IMAP session without TLS by SCRAM-SHA-256: CPU", "µs").against("PLAIN", 2.00, 1.60);
    for round in 0..=ROUNDS {
        for (name, by) in [("usher", By::Scram), ("PLAIN", By::Plain)] {
            let before = cpu(usher.pid());
            RUNTIME.block_on(sessions_by(usher.imap(), by, AT_ONCE, SESSIONS))?;
            // The first round fills pools and caches.
            if round > 0 {
                row.add(name, (cpu(usher.pid()) - before) / SESSIONS as f64 * 1e6);
            }
        }
    }
    usher.end();
    table.add(row);
    Ok(())
}
