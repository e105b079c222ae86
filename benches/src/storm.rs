//! What is left in memory of many sessions that have come and gone.

use crate::Outcome;
use crate::client::{Handshake, How, idlers};
use crate::contest::Contest;
use crate::idle::settle;
use crate::peers::memory;
use crate::table::{Row, Table};

const ROUNDS: usize = 3;
const WARM_UP: usize = 500;
const STORM: usize = 9000;
const AT_ONCE: usize = 100;

pub(crate) fn measure(table: &mut Table) -> Outcome {
    let mut row =
        Row::new(format!("memory after {STORM} sessions have gone, to that before"), "×").at_most(1.50, 1.20);
    for _ in 0..ROUNDS {
        let contest = Contest::start()?;
        for one in &contest.contestants {
            let how = How::tls(Handshake::Full);
            drop(idlers(one.tls, &how, WARM_UP, AT_ONCE)?);
            settle();
            let before = memory(one.pid);
            drop(idlers(one.tls, &how, STORM, AT_ONCE)?);
            settle();
            row.add(one.name, memory(one.pid) / before);
        }
    }
    table.add(row);
    Ok(())
}
