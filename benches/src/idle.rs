//! Resident memory of a session that idles.

use crate::Outcome;
use crate::client::{Handshake, How, idlers};
use crate::contest::Contest;
use crate::peers::memory;
use crate::table::{Row, Table};
use std::time::Duration;

const ROUNDS: usize = 3;
const SESSIONS: usize = 4000;
/// Logins that have come and gone before anything is measured, so that pools and caches are full.
const WARM_UP: usize = 500;
const AT_ONCE: usize = 50;

pub(crate) fn measure(table: &mut Table) -> Outcome {
    let mut with =
        Row::new("idle TLS session: memory", "KiB").against("HAProxy", 0.80, 0.55).at_most(12.0, 8.0);
    let mut without = Row::new("idle session without TLS: memory", "KiB").against("HAProxy", 0.90, 0.60);
    for _ in 0..ROUNDS {
        // Anew each time: what one measurement leaves behind is not the next one's.
        for (row, tls) in [(&mut with, true), (&mut without, false)] {
            let contest = Contest::start()?;
            for one in &contest.contestants {
                let (address, how) =
                    if tls { (one.tls, How::tls(Handshake::Full)) } else { (one.plain, How::Plain) };
                drop(idlers(address, &how, WARM_UP, AT_ONCE)?);
                settle();
                let before = memory(one.pid);
                let sessions = idlers(address, &how, SESSIONS, AT_ONCE)?;
                settle();
                row.add(one.name, (memory(one.pid) - before) / SESSIONS as f64 / 1024.0);
                drop(sessions);
            }
        }
    }
    table.add(with);
    table.add(without);
    Ok(())
}

/// Lets what is under way come to an end.
pub(crate) fn settle() {
    std::thread::sleep(Duration::from_secs(2));
}
