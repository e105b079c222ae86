//! What a login costs as usher's charge grows: more users, more hosts, more access rules.

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
    rules: usize,
}

const CHARGES: [Charge; 6] = [
    Charge { users: FEW, hosts: 3, rules: 0 },
    Charge { users: MANY, hosts: 3, rules: 0 },
    Charge { users: 3000, hosts: 3, rules: 0 },
    Charge { users: 3000, hosts: 3000, rules: 0 },
    Charge { users: 3000, hosts: 3, rules: 0 },
    Charge { users: 3000, hosts: 3, rules: 10_000 },
];

pub(crate) fn measure(table: &mut Table) -> Outcome {
    let stub = Stub::start()?;
    let ushers: Vec<Usher> = CHARGES.iter().map(|charge| start(&stub, charge)).collect::<Result<_, _>>()?;
    let mut rows = [
        ("with 10 M users against 10", 1.20, 1.10),
        ("with 3,000 hosts against 3", 1.20, 1.10),
        ("with 10,000 access rules against none", 1.05, 1.03),
    ]
    .map(|(what, must, aim)| Row::new(format!("login {what}: CPU"), "µs").against("with few", must, aim));
    for round in 0..=ROUNDS {
        let mut costs = Vec::new();
        for (usher, Charge { users, .. }) in ushers.iter().zip(CHARGES) {
            // Never those who were here in the round before, where there are others: what is remembered of them
            // would be measured.
            let first = round * SESSIONS;
            let user = move |number: usize| name((first + number) as u64 * 7919 % users);
            let before = cpu(usher.pid());
            sessions(usher.imap(), &vec![How::Plain; AT_ONCE], SESSIONS, user)?;
            costs.push((cpu(usher.pid()) - before) / SESSIONS as f64 * 1e6);
        }
        for (row, pair) in rows.iter_mut().zip(costs.chunks(2)) {
            if let ([few, many], 1..) = (pair, round) {
                row.add("usher", *many);
                row.add("with few", *few);
            }
        }
    }
    rows.into_iter().for_each(|row| table.add(row));
    Ok(())
}

/// Access rules of every kind that a site may have thousands of.
fn rules(count: usize) -> String {
    let rule = |at: usize| {
        let condition = match at % 5 {
            0 => format!("users = [\"guest{at}@example.com\"]"),
            1 => format!("addresses = [\"10.{}.{}.0/24\"]", at / 256, at % 256),
            2 => format!("users = [\"*{at}@partner{at}.example\"]"),
            3 => format!("domains = [\"d{at}.example\"]\nexcept_addresses = [\"192.0.2.0/24\"]"),
            _ => format!("attributes = {{ department = [\"d{at}*\"] }}"),
        };
        format!("[[access_rule]]\nname = \"r{at}\"\naction = \"deny\"\n{condition}\n")
    };
    (0..count).map(rule).collect()
}

fn start(stub: &Stub, charge: &Charge) -> Result<Usher, Box<dyn std::error::Error>> {
    let mut setup = Setup::new()
        .environment("RUST_LOG", "warn,usher::app=info")
        .imap("plaintext_from = [\"127.0.0.0/8\"]");
    for number in 0..charge.hosts {
        let address = SocketAddr::from((Ipv4Addr::from(0x7f40_0000 + number), stub.imap().port()));
        // Not probed: what that costs is a row of its own, and is no login's.
        setup = setup.host(&format!("ih{number}.example.com"), address, "tls = \"none\"", "");
    }
    setup = setup.section(&rules(charge.rules));
    let state = setup.dir.path().join("state");
    std::fs::create_dir_all(&state)?;
    fill(&state, Csv::new(charge.users, charge.hosts.into()))?;
    Ok(setup.start())
}
