//! Whether a wrong password can be told by the time that its refusal takes from a name that nobody has, and from one that
//! access rules deny because of what the directory says.

use crate::Outcome;
use crate::table::{Row, Table};
use std::net::SocketAddr;
use std::time::Instant;
use usher_tests::archive::Options;
use usher_tests::client::Client;
use usher_tests::runtime::archive;
use usher_tests::usher::Setup;

/// Refusals of each kind.
const REFUSALS: usize = 10_000;
const CLIENTS: usize = 4;

pub(crate) fn measure(table: &mut Table) -> Outcome {
    let setup = Setup::new()
        .imap("plaintext_from = [\"127.0.0.0/8\"]")
        .environment("RUST_LOG", "error,usher::app=info");
    let address = setup.at(10143);
    let held = archive(Options::named("ih.test"), address);
    held.add_user("anna@example.com", "secret");
    let rule = "[[access_rule]]\nname = \"gone\"\naction = \"deny\"\nattributes = { left = [\"*\"] }\n";
    let usher = setup
        .section(rule)
        .host("ih.test", address, "tls = \"none\"", "")
        .users(&[("anna@example.com", "ih.test"), ("@gone.test", "ih.test")])
        .start();
    usher.user(&["set", "@gone.test", "--attribute", "left=2026"]);
    for (what, domain) in [("unknown names", "example.com"), ("denied names", "gone.test")] {
        compare(table, usher.imap(), what, domain)?;
    }
    Ok(())
}

/// Compares wrong passwords with refusals of names of this domain.
fn compare(table: &mut Table, address: SocketAddr, what: &str, domain: &'static str) -> Outcome {
    let client = |at| std::thread::spawn(move || refused(address, at, domain));
    let clients: Vec<_> = (0..CLIENTS).map(client).collect();
    let (mut known, mut unknown) = (Vec::new(), Vec::new());
    for client in clients {
        let (more_known, more_unknown) = client.join().map_err(|_| "a client failed")?;
        known.extend(more_known);
        unknown.extend(more_unknown);
    }
    known.sort_by(f64::total_cmp);
    unknown.sort_by(f64::total_cmp);
    let median = |times: &[f64]| times.get(times.len() / 2).copied().unwrap_or_default();
    let apart = (median(&known) - median(&unknown)).abs();
    let mut row = Row::new(format!("medians of {REFUSALS} wrong passwords and {what}, apart"), "µs")
        .at_most(50.0, 20.0);
    row.add("usher", apart);
    table.add(row);
    let distance = distance(&known, &unknown);
    let (n, m) = (known.len() as f64, unknown.len() as f64);
    let lambda = distance * (n * m / (n + m)).sqrt();
    println!(
        "{what}: medians {:.0} and {:.0} µs, D = {distance:.4}, Kolmogorov-Smirnov p = {:.3}",
        median(&known),
        median(&unknown),
        probability(lambda)
    );
    // At p = 0.01 it is 1.628.
    let mut row = Row::new(format!("{what}: Kolmogorov-Smirnov distance of both, to that at p = 0.01"), "×")
        .at_most(1.0, 0.8);
    row.add("usher", lambda / 1.628);
    table.add(row);
    Ok(())
}

/// How long refusals take, in microseconds: of wrong passwords, and of names of this domain.
fn refused(address: SocketAddr, client: usize, domain: &str) -> (Vec<f64>, Vec<f64>) {
    let mut stream = Client::plain(address);
    stream.line();
    let (mut known, mut unknown) = (Vec::new(), Vec::new());
    // By turns that nobody could foresee, and the same at every run.
    let mut state = 0x9e37_79b9_7f4a_7c15_u64 ^ client as u64;
    for at in 0..REFUSALS / CLIENTS * 2 {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let is_known = state.is_multiple_of(2);
        let name = if is_known { "anna@example.com".to_owned() } else { format!("nobody{at}@{domain}") };
        let begun = Instant::now();
        stream.send(format!("a LOGIN {name} wrong\r\n"));
        stream.line();
        let took = begun.elapsed().as_secs_f64() * 1e6;
        if is_known { known.push(took) } else { unknown.push(took) }
    }
    (known, unknown)
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
