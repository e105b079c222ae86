//! What it costs to look after many hosts: five thousand, each connected to every five seconds.

use crate::Outcome;
use crate::peers::cpu;
use crate::table::{Row, Table};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use usher_tests::usher::Setup;

const HOSTS: u32 = 5000;
const SECONDS: u64 = 20;
const RUNS: usize = 3;

pub(crate) fn measure(table: &mut Table) -> Outcome {
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
    let mut rate = Row::new(format!("health checks of {HOSTS} hosts: rate"), "1/s");
    let mut share = Row::new(format!("health checks of {HOSTS} hosts: CPU of one core"), "%");
    for _ in 0..RUNS {
        let (begun, before, used) = (Instant::now(), knocks.load(Ordering::Relaxed), cpu(usher.pid()));
        std::thread::sleep(Duration::from_secs(SECONDS));
        let seconds = begun.elapsed().as_secs_f64();
        rate.add("usher", (knocks.load(Ordering::Relaxed) - before) as f64 / seconds);
        share.add("usher", (cpu(usher.pid()) - used) / seconds * 100.0);
    }
    table.add(rate);
    table.add(share);
    Ok(())
}
