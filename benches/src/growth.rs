//! What a login costs as usher's charge grows: more users, more hosts.

use crate::Outcome;
use crate::client::{How, sessions};
use crate::directory::{Csv, fill, name};
use crate::peers::cpu;
use crate::stub::Stub;
use crate::table::{Row, Table};
use std::net::{Ipv4Addr, SocketAddr};
use usher_tests::usher::{Setup, Usher};

const ROUNDS: usize = 7;
const SESSIONS: usize = 3000;
const AT_ONCE: usize = 16;
const MANY: u64 = 10_000_000;
const FEW: u64 = 10;

/// Users, hosts, and whose logins are measured.
const CHARGES: [(&str, u64, u32, fn(usize) -> String); 3] = [
    ("10 users, 3 hosts", FEW, 3, |number| name(number as u64 % FEW)),
    ("10 M users, 3 hosts", MANY, 3, |number| name(number as u64 * 7919 % MANY)),
    ("3,000 users, 3,000 hosts", 3000, 3000, |number| name(number as u64 * 7919 % 3000)),
];

pub(crate) fn measure(table: &mut Table) -> Outcome {
    let stub = Stub::start()?;
    let ushers: Vec<Usher> =
        CHARGES.iter().map(|(_, users, hosts, _)| start(&stub, *users, *hosts)).collect::<Result<_, _>>()?;
    let mut rows = ["with 10 M users against 10", "with 3,000 hosts against 3"]
        .map(|what| Row::new(format!("login {what}: CPU"), "µs").against("with few", 1.20, 1.10));
    for round in 0..=ROUNDS {
        let mut costs = Vec::new();
        for (usher, (.., user)) in ushers.iter().zip(CHARGES) {
            let before = cpu(usher.pid());
            sessions(usher.imap(), &How::Plain, SESSIONS, AT_ONCE, user)?;
            costs.push((cpu(usher.pid()) - before) / SESSIONS as f64 * 1e6);
        }
        if let ([few, with_users, with_hosts], 1..) = (costs.as_slice(), round) {
            for (row, many) in rows.iter_mut().zip([with_users, with_hosts]) {
                row.add("usher", *many);
                row.add("with few", *few);
            }
        }
    }
    rows.into_iter().for_each(|row| table.add(row));
    Ok(())
}

fn start(stub: &Stub, users: u64, hosts: u32) -> Result<Usher, Box<dyn std::error::Error>> {
    let mut setup = Setup::new()
        .environment("RUST_LOG", "warn,usher::run=info")
        .imap("plaintext_from = [\"127.0.0.0/8\"]");
    for number in 0..hosts {
        let address = SocketAddr::from((Ipv4Addr::from(0x7f40_0000 + number), stub.imap().port()));
        // Probed as hosts are by default.
        setup = setup.host(&format!("ih{number}.example.com"), address, "tls = \"none\"", "health = {}");
    }
    let state = setup.dir.path().join("state");
    std::fs::create_dir_all(&state)?;
    fill(&state, Csv::new(users, hosts.into()))?;
    Ok(setup.start())
}
