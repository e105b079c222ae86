//! CPU time of a whole IMAP session: connect, log in, log out.

use crate::Outcome;
use crate::client::{Handshake, How, sessions, user};
use crate::contest::{Contest, Contestant, RESUMING};
use crate::peers::cpu;
use crate::table::{Row, Table};

/// Rounds, in each of which every proxy has its turn.
const ROUNDS: usize = 7;
const SESSIONS: usize = 2000;
/// More of those that take less: the system counts processor time in steps of 10 ms.
const PLAIN_SESSIONS: usize = 4 * SESSIONS;
const AT_ONCE: usize = 16;

pub(crate) fn measure(table: &mut Table) -> Outcome {
    let contest = Contest::start()?;
    let row = |work: &str| Row::new(format!("IMAP session {work}: CPU"), "µs");
    let full = row("with a full TLS 1.3 handshake").against("nginx", 0.50, 0.40);
    run(table, &contest, full, Some(Handshake::Full), 4)?;
    let resumed = row("with a resumed handshake").against("nginx", 0.60, 0.45);
    run(table, &contest, resumed, Some(Handshake::Resumed), RESUMING)?;
    let plain = row("without TLS").against("nginx", 0.95, 0.75).against("HAProxy", 1.15, 1.00);
    run(table, &contest, plain, None, 4)?;
    // The others' OpenSSL has no such group.
    run(table, &contest, row("with X25519MLKEM768, usher's default"), Some(Handshake::PostQuantum), 1)
}

/// All that is asked of usher, once.
pub(crate) fn train(usher: &Contestant) -> Outcome {
    let kinds = [Some(Handshake::Full), Some(Handshake::Resumed), Some(Handshake::PostQuantum), None];
    for handshake in kinds {
        visit(usher, handshake, &hows(handshake))?;
    }
    Ok(())
}

/// One for each session at a time: those that begin together have a ticket each.
fn hows(handshake: Option<Handshake>) -> Vec<How> {
    (0..AT_ONCE).map(|_| handshake.map_or(How::Plain, How::tls)).collect()
}

/// How many sessions a round has.
fn count(handshake: Option<Handshake>) -> usize {
    if handshake.is_some() { SESSIONS } else { PLAIN_SESSIONS }
}

/// Has a round of sessions with one of them. Returns how many were resumed.
fn visit(one: &Contestant, handshake: Option<Handshake>, hows: &[How]) -> Result<usize, String> {
    let address = if handshake.is_some() { one.tls } else { one.plain };
    sessions(address, hows, count(handshake), user).map_err(|error| format!("{}: {error}", one.name))
}

/// Fills in a row for the first `among` contestants.
fn run(
    table: &mut Table,
    contest: &Contest,
    mut row: Row,
    handshake: Option<Handshake>,
    among: usize,
) -> Outcome {
    let hows: Vec<Vec<How>> = contest.contestants.iter().map(|_| hows(handshake)).collect();
    let count = count(handshake);
    let all_resume = handshake == Some(Handshake::Resumed);
    for round in 0..=ROUNDS {
        for (one, hows) in contest.contestants.iter().zip(&hows).take(among) {
            let before = cpu(one.pid);
            let resumed = visit(one, handshake, hows)?;
            if round > 0 && (resumed == count) != all_resume {
                return Err(format!("{}: {resumed} of {count} sessions are resumed", one.name).into());
            }
            // The first round fills pools and caches.
            if round > 0 {
                row.add(one.name, (cpu(one.pid) - before) / count as f64 * 1e6);
            }
        }
    }
    table.add(row);
    Ok(())
}
