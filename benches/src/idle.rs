//! Resident memory of relayed sessions that idle: TLS to the client, none to the backend.

use crate::Outcome;
use std::time::Duration;
use usher_tests::archive::Options;
use usher_tests::runtime::{archive, runtime};
use usher_tests::swarm::Swimmer;
use usher_tests::usher::{Setup, Usher};

const SESSIONS: usize = 5000;
/// Logins that have come and gone before anything is measured, so that pools and caches are full.
const WARM_UP: usize = 500;
const AT_ONCE: usize = 50;

pub(crate) fn measure() -> Outcome {
    let setup = Setup::new();
    let address = setup.at(10143);
    let held = archive(Options::named("ih.test"), address);
    held.add_user("anna@example.com", "secret");
    let users = [("anna@example.com", "ih.test")];
    let usher = setup.host("ih.test", address, "tls = \"none\"", "").users(&users).start();
    drop(open(&usher, WARM_UP)?);
    settle();
    let (before, before_private) = memory(&usher)?;
    let sessions = open(&usher, SESSIONS)?;
    settle();
    let (after, after_private) = memory(&usher)?;
    let each = |after: u64, before: u64| after.saturating_sub(before) as f64 / SESSIONS as f64 / 1024.0;
    println!("| {SESSIONS} sessions in IDLE | before, MiB | with them, MiB | KiB each |");
    println!("|---|---:|---:|---:|");
    let mib = |octets: u64| octets as f64 / 1_048_576.0;
    for (name, before, after) in [("Pss", before, after), ("private", before_private, after_private)] {
        println!("| {name} | {:.1} | {:.1} | {:.2} |", mib(before), mib(after), each(after, before));
    }
    drop(sessions);
    settle();
    println!("\nafter they have gone: {:.1} MiB", mib(memory(&usher)?.0));
    Ok(())
}

fn open(usher: &Usher, count: usize) -> Result<Vec<Swimmer>, Box<dyn std::error::Error>> {
    let address = usher.imaps();
    let mut open = Vec::new();
    while open.len() < count {
        let wave: Vec<_> = (0..AT_ONCE.min(count - open.len()))
            .map(|_| {
                runtime().spawn(async move {
                    let mut client = Swimmer::connect(address).await?;
                    client.command("a LOGIN anna@example.com secret").await?;
                    client.command("b SELECT INBOX").await?;
                    client.send("c IDLE").await?;
                    client.line().await?;
                    Ok::<_, std::io::Error>(client)
                })
            })
            .collect();
        for client in wave {
            open.push(runtime().block_on(client)??);
        }
    }
    Ok(open)
}

/// Lets what is under way come to an end.
fn settle() {
    std::thread::sleep(Duration::from_secs(2));
}

/// Pss and private memory of the process, in octets.
fn memory(usher: &Usher) -> Result<(u64, u64), Box<dyn std::error::Error>> {
    let rollup = std::fs::read_to_string(format!("/proc/{}/smaps_rollup", usher.pid()))?;
    let field = |name: &str| {
        let line = rollup.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0) * 1024
    };
    Ok((field("Pss:"), field("Private_Clean:") + field("Private_Dirty:")))
}
