//! CPU time of a large download: messages of a mebibyte each, eight sessions at once.

use crate::Outcome;
use crate::client::{Client, Handshake, How, RUNTIME, user};
use crate::contest::{Contest, Contestant};
use crate::peers::cpu;
use crate::stub::MESSAGE;
use crate::table::{Row, Table};
use std::net::SocketAddr;

const ROUNDS: usize = 5;
const AT_ONCE: usize = 8;
/// Messages a session; a gibibyte in all.
const MESSAGES: usize = (1 << 30) / MESSAGE / AT_ONCE;

pub(crate) fn measure(table: &mut Table) -> Outcome {
    let contest = Contest::start()?;
    let mut with = Row::new("bulk download through TLS: CPU", "ms/GiB").against("HAProxy", 0.95, 0.75);
    let mut without = Row::new("bulk download without TLS: CPU", "ms/GiB").against("nginx", 0.85, 0.65);
    for round in 0..=ROUNDS {
        for (row, tls) in [(&mut with, true), (&mut without, false)] {
            for one in &contest.contestants {
                let (address, how) =
                    if tls { (one.tls, How::tls(Handshake::Full)) } else { (one.plain, How::Plain) };
                let before = cpu(one.pid);
                download(address, &how)?;
                if round > 0 {
                    row.add(one.name, (cpu(one.pid) - before) * 1e3);
                }
            }
        }
    }
    table.add(with);
    table.add(without);
    Ok(())
}

/// All that is asked of usher, once.
pub(crate) fn train(usher: &Contestant) -> Outcome {
    download(usher.tls, &How::tls(Handshake::Full))?;
    Ok(download(usher.plain, &How::Plain)?)
}

fn download(address: SocketAddr, how: &How) -> std::io::Result<()> {
    let sessions: Vec<_> = (0..AT_ONCE)
        .map(|number| {
            let how = how.clone();
            RUNTIME.spawn(async move {
                let mut client = Client::log_in(address, &how, &user(number)).await?;
                client.fetch(MESSAGES).await?;
                client.log_out().await
            })
        })
        .collect();
    sessions.into_iter().try_for_each(|session| RUNTIME.block_on(session)?)
}
