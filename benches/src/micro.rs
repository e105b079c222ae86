//! The pure parts, one call at a time: in instructions, which say the same on every run, and in nanoseconds, which
//! do not.
//!
//! Instructions are counted by callgrind over this program itself, once for few calls and once for many: the
//! difference is what the calls cost, without the start of the program.

use crate::Outcome;
use crate::directory::{Csv, fill, name, settle};
use crate::table::{Row, Table};
use std::error::Error;
use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::process::Command;
use std::time::{Duration, Instant};
use usher_backends::directory::Directory;
use usher_config::snapshot::Balance;
use usher_policy::ArchiveKey;
use usher_policy::pick::{Candidate, Draw, choose};
use usher_wire::http1::{Caps, RequestReader, Scheme};
use usher_wire::imap::capability::{Offer, Privacy};
use usher_wire::imap::preauth::{Preauth, Step, greet};
use usher_wire::imap::tracker::Tracker;

/// The argument by which the program makes the calls and nothing else: with the number of a part and a count.
pub(crate) const WORD: &str = "calls";
const FEW: usize = 200;
const MANY: usize = 1200;
const RUNS: usize = 5;
const USERS: u64 = 10_000;

/// Calls a function so often, and says how long that took.
type Calls = fn(usize) -> Result<Duration, Box<dyn Error>>;

/// Every function by its name.
const PARTS: [(&str, Calls); 9] = [
    ("wire: IMAP greeting and LOGIN to a claim", log_in),
    ("wire: IMAP greeting and AUTHENTICATE PLAIN to a claim", authenticate),
    ("wire: head of an HTTP/1 request, 400 octets", http_head),
    ("pick: of 16 members, least sessions", |count| pick(Balance::LeastSessions, count)),
    ("pick: of 16 members, source hash", |count| pick(Balance::SourceHash, count)),
    ("directory look-up, never the same twice in a row", look_up),
    ("directory look-up, repeated", look_up_again),
    ("relay framing: 16 KiB of literals from the server", |count| frame(&literals(), count)),
    ("relay framing: 16 KiB of FETCH lines from the server", |count| frame(&lines(), count)),
];

pub(crate) fn measure(table: &mut Table) -> Outcome {
    for (at, (part, calls)) in PARTS.iter().enumerate() {
        let mut instructions = Row::new(*part, "instructions");
        let counted = (count(at, MANY)? - count(at, FEW)?) / (MANY - FEW) as f64;
        instructions.add("usher", counted);
        let mut time = Row::new(*part, "ns");
        for run in 0..=RUNS {
            let took = calls(MANY)?.as_nanos() as f64 / MANY as f64;
            if run > 0 {
                time.add("usher", took);
            }
        }
        table.add(instructions);
        table.add(time);
    }
    Ok(())
}

/// Makes the calls that the arguments ask for.
pub(crate) fn call(arguments: &[String]) -> Outcome {
    let [part, count] = arguments else { return Err("a number and a count".into()) };
    let (_, calls) = PARTS.get(part.parse::<usize>()?).ok_or("no such part")?;
    calls(count.parse()?).map(drop)
}

/// Instructions of the whole program for `count` calls of a part.
fn count(part: usize, count: usize) -> Result<f64, Box<dyn Error>> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(std::env::current_exe()?)
        .args([WORD, &part.to_string(), &count.to_string()])
        .output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    let collected = said.lines().find_map(|line| line.split_once("Collected : "));
    Ok(collected.ok_or_else(|| format!("valgrind: {said}"))?.1.trim().parse()?)
}

fn claim(said: &[u8], count: usize) -> Result<Duration, Box<dyn Error>> {
    let begun = Instant::now();
    for _ in 0..count {
        let (mut preauth, mut out) = (Preauth::new(Privacy::Tls, Offer::passwords()), Vec::new());
        greet(Privacy::Tls, &Offer::passwords(), "mail.example.com", &mut out);
        preauth.feed(black_box(said));
        let Step::Claim(claim) = preauth.step(&mut out) else { return Err("no claim".into()) };
        black_box(claim);
    }
    Ok(begun.elapsed())
}

fn log_in(count: usize) -> Result<Duration, Box<dyn Error>> {
    claim(b"a LOGIN anna@example.com correct-horse\r\n", count)
}

fn authenticate(count: usize) -> Result<Duration, Box<dyn Error>> {
    claim(b"a AUTHENTICATE PLAIN AGFubmFAZXhhbXBsZS5jb20AY29ycmVjdC1ob3JzZQ==\r\n", count)
}

fn http_head(count: usize) -> Result<Duration, Box<dyn Error>> {
    let head = b"GET /owa/?ae=Folder&t=IPF.Note&id=LgAAAAD HTTP/1.1\r\nHost: mail.example.com\r\n\
        User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n\
        Accept: text/html,application/xhtml+xml\r\nAccept-Language: en\r\nAccept-Encoding: gzip, br\r\n\
        Authorization: Basic dXNlckBleGFtcGxlLmNvbTpzZWNyZXQ=\r\nCookie: session=0123456789abcdef\r\n\
        Referer: https://mail.example.com/\r\n\r\n";
    let (mut reader, mut good) = (RequestReader::new(Caps::REQUEST, Scheme::Https), Vec::new());
    let begun = Instant::now();
    for _ in 0..count {
        good.clear();
        reader.read(black_box(head), &mut good).map_err(|fault| fault.name())?;
    }
    Ok(begun.elapsed())
}

fn pick(balance: Balance, count: usize) -> Result<Duration, Box<dyn Error>> {
    let names: Vec<String> = (0..16).map(|number| format!("cas{number}")).collect();
    let candidates: Vec<Candidate<'_>> =
        names.iter().map(|name| Candidate { name, weight: 1.0, sessions: 7 }).collect();
    let begun = Instant::now();
    for turn in 0..count as u32 {
        let source = IpAddr::V4(Ipv4Addr::from(turn));
        black_box(choose(balance, black_box(&candidates), Draw { turn: turn.into(), source }));
    }
    Ok(begun.elapsed())
}

fn directory(key: impl Fn(usize) -> u64, count: usize) -> Result<Duration, Box<dyn Error>> {
    let dir = tempfile::tempdir()?;
    fill(dir.path(), Csv::new(USERS, 64))?;
    let directory = Directory::remembering(dir.path(), 100)?;
    settle(&directory)?;
    let begun = Instant::now();
    for number in 0..count {
        black_box(directory.find(&ArchiveKey::User(name(key(number))), tokio::time::Instant::now())?);
    }
    Ok(begun.elapsed())
}

fn look_up(count: usize) -> Result<Duration, Box<dyn Error>> {
    directory(|number| number as u64 * 7919 % USERS, count)
}

fn look_up_again(count: usize) -> Result<Duration, Box<dyn Error>> {
    directory(|_| 1, count)
}

fn literals() -> Vec<u8> {
    let mut answer = b"* 1 FETCH (BODY[] {16300}\r\n".to_vec();
    answer.extend(std::iter::repeat_n(b'x', 16_300));
    answer.extend_from_slice(b")\r\n");
    answer
}

fn lines() -> Vec<u8> {
    b"* 12 FETCH (UID 1012 FLAGS (\\Seen) RFC822.SIZE 4711)\r\n".repeat(16 * 1024 / 54)
}

/// From the server's side, read by read.
fn frame(answer: &[u8], count: usize) -> Result<Duration, Box<dyn Error>> {
    let mut tracker = Tracker::default();
    let begun = Instant::now();
    for _ in 0..count {
        let mut rest = black_box(answer);
        while !rest.is_empty() {
            let moved = tracker.server(rest, false).map_err(|fault| fault.name())?;
            if moved.is_stuck() {
                return Err("the relay is stuck".into());
            }
            rest = rest.get(moved.taken..).unwrap_or_default();
            black_box(moved);
        }
    }
    Ok(begun.elapsed())
}
