//! What it costs to look after many hosts: five thousand, each connected to every five seconds.

use crate::Outcome;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use usher_tests::usher::{Setup, Usher};

const HOSTS: u32 = 5000;
const SECONDS: u64 = 20;
const RUNS: usize = 3;

pub(crate) fn measure() -> Outcome {
    // One listener for all of 127.0.0.0/8, so that each host has an address of its own.
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    let port = listener.local_addr()?.port();
    let knocks = Arc::new(AtomicUsize::new(0));
    let counted = knocks.clone();
    std::thread::spawn(move || {
        for tcp in listener.incoming() {
            counted.fetch_add(1, Ordering::Relaxed);
            drop(tcp);
        }
    });
    let mut setup = Setup::new();
    for number in 0..HOSTS {
        let address = SocketAddr::from((Ipv4Addr::from(0x7f40_0000 + number), port));
        let health = "health = { interval = \"5s\" }";
        setup = setup.host(&format!("ih{number}.test"), address, "tls = \"none\"", health);
    }
    let usher = setup.start();
    // Until every host has been looked at once or twice.
    std::thread::sleep(Duration::from_secs(6));
    println!("| run | probes a second | CPU of one core, % |");
    println!("|---:|---:|---:|");
    for run in 1..=RUNS {
        let (begun, before, cpu) = (Instant::now(), knocks.load(Ordering::Relaxed), cpu_seconds(&usher)?);
        std::thread::sleep(Duration::from_secs(SECONDS));
        let seconds = begun.elapsed().as_secs_f64();
        let rate = (knocks.load(Ordering::Relaxed) - before) as f64 / seconds;
        println!("| {run} | {rate:.0} | {:.1} |", (cpu_seconds(&usher)? - cpu) / seconds * 100.0);
    }
    Ok(())
}

/// CPU time of the process so far, of user and system together.
fn cpu_seconds(usher: &Usher) -> Result<f64, Box<dyn std::error::Error>> {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", usher.pid()))?;
    // The name before it may hold anything but ends with the last parenthesis.
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|ticks| ticks.parse::<f64>().ok()).unwrap_or(0.0);
    Ok((ticks(11) + ticks(12)) / 100.0)
}
