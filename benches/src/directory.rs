//! The embedded directory with ten million users: loading, size, look-ups, memory.

use crate::Outcome;
use crate::table::{Row, Table};
use std::fmt::Write as _;
use std::io::Read;
use std::path::Path;
use std::time::{Duration, Instant};
use usher_backends::directory::{Directory, ImportOptions};
use usher_policy::ArchiveKey;
use usher_policy::identity::Domains;

const LOOK_UPS: usize = 300_000;
const HOSTS: u64 = 64;

pub(crate) fn measure(table: &mut Table) -> Outcome {
    let users: u64 = match std::env::var("USHER_BENCH_USERS") {
        Ok(written) => written.parse()?,
        Err(_) => 10_000_000,
    };
    let dir = tempfile::tempdir()?;
    let begun = Instant::now();
    fill(dir.path(), Csv::new(users, HOSTS))?;
    let loaded = begun.elapsed();
    let size = std::fs::metadata(dir.path().join("directory.db"))?.len();

    let directory = Directory::open(dir.path())?;
    settle(&directory)?;
    let mut times = Vec::with_capacity(LOOK_UPS);
    for number in 0..LOOK_UPS as u64 {
        let key = ArchiveKey::User(name(shuffle(number * 7919, users)));
        let begun = Instant::now();
        let found = directory.look_up(&key)?;
        times.push(begun.elapsed());
        if found.is_none() {
            return Err(format!("{key} is not found").into());
        }
    }
    let memory = anonymous()?.saturating_sub((LOOK_UPS * size_of::<Duration>()) as u64);
    times.sort();
    let at = |share: f64| times[((LOOK_UPS - 1) as f64 * share) as usize].as_nanos() as f64 / 1000.0;
    let of = |what: &str| format!("directory of {users} users: {what}");
    let mib = |octets: u64| octets as f64 / 1_048_576.0;
    for (row, figure) in [
        (Row::new(of("import from CSV in random order"), "s"), loaded.as_secs_f64()),
        (Row::new(of("file"), "MiB"), mib(size)),
        (Row::new(of("look-up, median"), "µs"), at(0.5)),
        (Row::new(of("look-up, p99"), "µs").at_most(40.0, 20.0), at(0.99)),
        (Row::new(of("memory, page cache apart"), "MiB").at_most(150.0, 100.0), mib(memory)),
    ] {
        let mut row = row;
        row.add("usher", figure);
        table.add(row);
    }
    Ok(())
}

/// Does twice what usher does each half second: one that is quiet is looked at in another way then.
pub(crate) fn settle(directory: &Directory) -> Outcome {
    directory.follow_changes()?;
    directory.follow_changes()?;
    Ok(())
}

/// Makes a directory in `dir` of these users.
pub(crate) fn fill(dir: &Path, users: Csv) -> Outcome {
    let options = ImportOptions {
        domains: &Domains::default(),
        is_host: &|_| true,
        replace: false,
        sync: None,
        only_look: false,
        by: "bench",
    };
    Directory::open(dir)?.import(users, &options, &mut |_| {}, &mut |_| {})?;
    Ok(())
}

/// Anonymous resident memory of this process, in octets: the page cache apart.
fn anonymous() -> Result<u64, Box<dyn std::error::Error>> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).ok_or("no RssAnon")?;
    Ok(line.split_whitespace().next().ok_or("no number")?.parse::<u64>()? * 1024)
}

/// A different number below `count` for each number below it, in no order.
fn shuffle(number: u64, count: u64) -> u64 {
    // Coprime to any count that is not a multiple of it.
    number.wrapping_mul(7_368_787) % count
}

/// The user numbered so.
pub(crate) fn name(number: u64) -> String {
    format!("user{number:08}@d{}.example.com", number % 1000)
}

/// Lines of CSV, made as they are read.
pub(crate) struct Csv {
    next: u64,
    count: u64,
    hosts: u64,
    line: String,
    read: usize,
}

impl Csv {
    /// Of `count` users on `hosts` hosts.
    pub(crate) fn new(count: u64, hosts: u64) -> Self {
        Self { next: 0, count, hosts, line: String::new(), read: 0 }
    }
}

impl Read for Csv {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        if self.read == self.line.len() {
            self.line.clear();
            self.read = 0;
            while self.next < self.count && self.line.len() < 64 * 1024 {
                let number = shuffle(self.next, self.count);
                let _ = writeln!(self.line, "{},ih{}.example.com", name(number), number % self.hosts);
                self.next += 1;
            }
        }
        let rest = &self.line.as_bytes()[self.read..];
        let most = rest.len().min(buf.len());
        buf[..most].copy_from_slice(&rest[..most]);
        self.read += most;
        Ok(most)
    }
}
