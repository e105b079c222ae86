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

/// What one usher has to look after.
struct Charge {
    users: u64,
    hosts: u32,
    /// Whose logins are measured.
    user: fn(usize) -> String,
}

const CHARGES: [Charge; 3] = [
    Charge { users: FEW, hosts: 3, user: |number| name(number as u64 % FEW) },
    Charge { users: MANY, hosts: 3, user: |number| name(number as u64 * 7919 % MANY) },
    Charge { users: 3000, hosts: 3000, user: |number| name(number as u64 * 7919 % 3000) },
];

pub(crate) fn measure(table: &mut Table) -> Outcome {
    let stub = Stub::start()?;
    let ushers: Vec<Usher> = CHARGES.iter().map(|charge| start(&stub, charge)).collect::<Result<_, _>>()?;
    let mut rows = ["with 10 M users against 10", "with 3,000 hosts against 3"]
        .map(|what| Row::new(format!("login {what}: CPU"), "µs").against("with few", 1.20, 1.10));
    for round in 0..=ROUNDS {
        let mut costs = Vec::new();
        for (usher, charge) in ushers.iter().zip(CHARGES) {
            let before = cpu(usher.pid());
            sessions(usher.imap(), &How::Plain, SESSIONS, AT_ONCE, charge.user)?;
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

fn start(stub: &Stub, charge: &Charge) -> Result<Usher, Box<dyn std::error::Error>> {
    let mut setup = Setup::new()
        .environment("RUST_LOG", "warn,usher::run=info")
        .imap("plaintext_from = [\"127.0.0.0/8\"]");
    for number in 0..charge.hosts {
        let address = SocketAddr::from((Ipv4Addr::from(0x7f40_0000 + number), stub.imap().port()));
        // Probed as hosts are by default.
        setup = setup.host(&format!("ih{number}.example.com"), address, "tls = \"none\"", "health = {}");
    }
    let state = setup.dir.path().join("state");
    std::fs::create_dir_all(&state)?;
    fill(&state, Csv::new(charge.users, charge.hosts.into()))?;
    Ok(setup.start())
}
