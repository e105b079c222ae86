//! Whether a wrong password can be told by the time that its refusal takes from a name that nobody has, from one that
//! access rules deny because of what the directory says, and from one whose host cannot take this mechanism from it.

use crate::Outcome;
use crate::table::{Row, Table};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::net::SocketAddr;
use std::time::Instant;
use usher_tests::archive::Options;
use usher_tests::client::Client;
use usher_tests::dovecot::{Dovecot, Mode};
use usher_tests::introspection::introspection;
use usher_tests::runtime::archive;
use usher_tests::scram;
use usher_tests::usher::{Setup, Usher};

/// Refusals of each kind.
const REFUSALS: usize = 10_000;
const CLIENTS: usize = 4;
/// The same of a Dovecot, which collects its refusals for half a second.
const PATIENT_CLIENTS: usize = 200;

const ANNA: &str = "anna@example.com";

/// Makes the name of an attempt from its number.
type Name = fn(usize) -> String;

/// Fails to log in under a name; returns how long each answer took, in microseconds.
type Try = fn(&mut Client, &str) -> Vec<f64>;

/// What is compared with wrong passwords: a word for it, and its names.
type Kind = (&'static str, Name);

const UNKNOWN: Kind = ("unknown names", |at| format!("nobody{at}@example.com"));

pub(crate) fn measure(table: &mut Table) -> Outcome {
    passwords(table)?;
    let usher = with_dovecot(
        |name, address| {
            let dovecot = Dovecot::with_scram(name, address, Mode::Plain);
            dovecot.let_in_by("SCRAM-SHA-256", ANNA);
            dovecot.let_in_by("SHA512-CRYPT", "otto@example.com");
            dovecot
        },
        "AUTH=SCRAM-SHA-256",
    );
    let other: Kind = ("names of another mechanism", |_| "otto@example.com".to_owned());
    compare(table, usher.0.imaps(), ("SCRAM", by_scram, PATIENT_CLIENTS), &[UNKNOWN, other])?;
    drop(usher);
    let usher = with_dovecot(
        |name, address| {
            let asked = SocketAddr::new(address.ip(), 8081);
            introspection(asked);
            Dovecot::with_tokens(name, address, Mode::Plain, &format!("http://{asked}/introspect?token="))
        },
        "AUTH=OAUTHBEARER",
    );
    compare(table, usher.0.imaps(), ("OAUTHBEARER", by_token, PATIENT_CLIENTS), &[UNKNOWN])
}

fn passwords(table: &mut Table) -> Outcome {
    let setup = quiet(Setup::new());
    let address = setup.at(10143);
    let held = archive(Options::named("ih.test"), address);
    held.add_user(ANNA, "secret");
    let rule = "[[access_rule]]\nname = \"gone\"\naction = \"deny\"\nattributes = { left = [\"*\"] }\n";
    let usher = setup
        .section(rule)
        .host("ih.test", address, "tls = \"none\"", "")
        .users(&[(ANNA, "ih.test"), ("@gone.test", "ih.test")])
        .start();
    usher.user(&["set", "@gone.test", "--attribute", "left=2026"]);
    let denied: Kind = ("denied names", |at| format!("nobody{at}@gone.test"));
    compare(table, usher.imaps(), ("PLAIN", by_password, CLIENTS), &[UNKNOWN, denied])
}

/// With a log of nothing but that it serves: the clients' network is one that is never held up, as in all tests.
fn quiet(setup: Setup) -> Setup {
    setup.environment("RUST_LOG", "error,usher::app=info")
}

/// usher in front of a Dovecot, once it offers what all hosts have.
fn with_dovecot(start: impl Fn(&str, SocketAddr) -> Dovecot, offered: &str) -> (Usher, Dovecot) {
    let setup = quiet(Setup::new());
    let address = setup.at(10145);
    let dovecot = start("one.test", address);
    let probed = "health = { interval = \"100ms\", imap = { probe = \"greeting\" } }";
    let usher = setup
        .host("one.test", address, "tls = \"none\", client_address = \"proxy-v2\"", probed)
        .users(&[(ANNA, "one.test"), ("otto@example.com", "one.test")])
        .start();
    while !Client::tls(usher.imaps()).command("a CAPABILITY").join(" ").contains(offered) {
        std::thread::yield_now();
    }
    (usher, dovecot)
}

fn by_password(client: &mut Client, name: &str) -> Vec<f64> {
    let message = STANDARD.encode(format!("\0{name}\0wrong"));
    vec![timed(client, &format!("a AUTHENTICATE PLAIN {message}"))]
}

fn by_token(client: &mut Client, name: &str) -> Vec<f64> {
    let message = format!("n,a={name},\x01host=mail.test\x01port=993\x01auth=Bearer bad\x01\x01");
    let first = timed(client, &format!("a AUTHENTICATE OAUTHBEARER {}", STANDARD.encode(message)));
    vec![first, timed(client, "AQ==")]
}

/// With a proof of the right length that proves nothing.
fn by_scram(client: &mut Client, name: &str) -> Vec<f64> {
    client.send(format!("a AUTHENTICATE SCRAM-SHA-256 {}\r\n", scram::first(name)));
    let begun = Instant::now();
    let line = client.line();
    let first = begun.elapsed().as_secs_f64() * 1e6;
    let said = STANDARD.decode(line.trim_start_matches("+ ")).unwrap_or_default();
    let said = String::from_utf8_lossy(&said).into_owned();
    let nonce = said.split(',').next().unwrap_or_default();
    let last = STANDARD.encode(format!("c=biws,{nonce},p={}", STANDARD.encode([0; 32])));
    vec![first, timed(client, &last)]
}

/// How long the answer to a line takes, in microseconds.
fn timed(client: &mut Client, line: &str) -> f64 {
    let begun = Instant::now();
    client.send(format!("{line}\r\n"));
    client.line();
    begun.elapsed().as_secs_f64() * 1e6
}

/// Compares wrong passwords of somebody with refusals of each other kind, answer by answer.
fn compare(
    table: &mut Table,
    address: SocketAddr,
    (mechanism, how, clients): (&str, Try, usize),
    kinds: &[Kind],
) -> Outcome {
    let anna: Name = |_| ANNA.to_owned();
    let names: Vec<Name> = std::iter::once(anna).chain(kinds.iter().map(|(_, name)| *name)).collect();
    let client = |at| {
        let names = names.clone();
        std::thread::spawn(move || refused(address, (at, clients), how, &names))
    };
    let clients: Vec<_> = (0..clients).map(client).collect();
    let mut times: Vec<Vec<Vec<f64>>> = vec![Vec::new(); names.len()];
    for client in clients {
        for (all, more) in times.iter_mut().zip(client.join().map_err(|_| "a client failed")?) {
            all.resize(more.len(), Vec::new());
            all.iter_mut().zip(more).for_each(|(all, more)| all.extend(more));
        }
    }
    times.iter_mut().flatten().for_each(|times| times.sort_by(f64::total_cmp));
    let (known, others) = times.split_first().ok_or("nothing was tried")?;
    for ((kind, _), other) in kinds.iter().zip(others) {
        for (at, (known, other)) in known.iter().zip(other).enumerate() {
            let answer = if at == 0 { "first" } else { "last" };
            tell(table, &format!("{mechanism}, {answer} answer, {kind}"), known, other);
        }
    }
    Ok(())
}

/// Adds what the times of wrong passwords and of others have in common; both are sorted.
fn tell(table: &mut Table, what: &str, known: &[f64], other: &[f64]) {
    let median = |times: &[f64]| times.get(times.len() / 2).copied().unwrap_or_default();
    let apart = (median(known) - median(other)).abs();
    let mut row = Row::new(format!("{what}: medians of {REFUSALS}, apart from wrong passwords"), "µs")
        .at_most(50.0, 20.0);
    row.add("usher", apart);
    table.add(row);
    let distance = distance(known, other);
    let (n, m) = (known.len() as f64, other.len() as f64);
    let lambda = distance * (n * m / (n + m)).sqrt();
    println!(
        "{what}: medians {:.0} and {:.0} µs, D = {distance:.4}, Kolmogorov-Smirnov p = {:.3}",
        median(known),
        median(other),
        probability(lambda)
    );
    // At p = 0.01 it is 1.628.
    let mut row =
        Row::new(format!("{what}: Kolmogorov-Smirnov distance, to that at p = 0.01"), "×").at_most(1.0, 0.8);
    row.add("usher", lambda / 1.628);
    table.add(row);
}

/// How long refusals take, in microseconds, by names and by answers.
fn refused(
    address: SocketAddr,
    (client, clients): (usize, usize),
    how: Try,
    names: &[Name],
) -> Vec<Vec<Vec<f64>>> {
    let mut stream = Client::tls(address);
    let mut times: Vec<Vec<Vec<f64>>> = vec![Vec::new(); names.len()];
    // By turns that nobody could foresee, and the same at every run.
    let mut state = 0x9e37_79b9_7f4a_7c15_u64 ^ client as u64;
    for at in 0..REFUSALS / clients * names.len() {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let chosen = usize::try_from(state % names.len() as u64).unwrap_or(0);
        let (Some(name), Some(times)) = (names.get(chosen), times.get_mut(chosen)) else { continue };
        let took = how(&mut stream, &name(at));
        times.resize(took.len(), Vec::new());
        times.iter_mut().zip(took).for_each(|(all, took)| all.push(took));
    }
    times
}

/// The largest distance of the two distributions; both are sorted.
fn distance(one: &[f64], other: &[f64]) -> f64 {
    let share =
        |times: &[f64], time: f64| times.partition_point(|it| *it <= time) as f64 / times.len().max(1) as f64;
    one.iter().chain(other).map(|time| (share(one, *time) - share(other, *time)).abs()).fold(0.0, f64::max)
}

/// How likely such a distance is, where both are the same.
fn probability(lambda: f64) -> f64 {
    let terms = (1..100).map(|k| {
        let k = f64::from(k);
        let sign = if k as i64 % 2 == 1 { 1.0 } else { -1.0 };
        sign * (-2.0 * k * k * lambda * lambda).exp()
    });
    (2.0 * terms.sum::<f64>()).clamp(0.0, 1.0)
}
