//! How long a login takes at a rate that does not depend on how fast it is answered: clients come when they
//! come, and a login's time counts from the moment at which it was to begin.

use crate::Outcome;
use crate::client::{Client, Handshake, How, RUNTIME, sessions, user};
use crate::contest::{Contest, Contestant};
use crate::table::{Row, Table};
use std::error::Error;
use std::time::{Duration, Instant};

const ROUNDS: usize = 5;
/// So many that a proxy which lets each client wait is busy all the same.
const AT_ONCE: usize = 256;
/// Logins by which a proxy's saturation is found.
const SATURATING: usize = 4000;
/// Seconds of one measurement.
const SECONDS: f64 = 5.0;

pub(crate) fn measure(table: &mut Table) -> Outcome {
    let contest = Contest::start()?;
    let mut rate = Row::new("login with a full handshake, closed loop: rate", "1/s");
    for round in 0..=ROUNDS {
        for one in &contest.contestants {
            let begun = Instant::now();
            sessions(one.tls, &vec![How::tls(Handshake::Full); AT_ONCE], SATURATING, user)?;
            if round > 0 {
                rate.add(one.name, SATURATING as f64 / begun.elapsed().as_secs_f64());
            }
        }
    }
    let offered = rate.median("nginx") / 2.0;
    table.add(rate);
    let name = |share| format!("login at {offered:.0}/s, half of nginx's saturation, open loop: {share}");
    let mut rows = [
        (0.5, Row::new(name("median"), "ms")),
        (0.99, Row::new(name("p99"), "ms").against("nginx", 0.80, 0.50)),
    ];
    for round in 0..=ROUNDS {
        for one in &contest.contestants {
            let times = logins(one, offered)?;
            for (share, row) in rows.iter_mut().filter(|_| round > 0) {
                let at = ((times.len() - 1) as f64 * *share) as usize;
                row.add(one.name, times.get(at).map_or(f64::NAN, |time| time.as_secs_f64() * 1e3));
            }
        }
    }
    rows.into_iter().for_each(|(_, row)| table.add(row));
    Ok(())
}

/// The times of logins that come `rate` times a second, shortest first.
fn logins(one: &Contestant, rate: f64) -> Result<Vec<Duration>, Box<dyn Error>> {
    let (how, tls) = (How::tls(Handshake::Full), one.tls);
    let mut gaps = Gaps { state: 0x9e37_79b9_7f4a_7c15, rate };
    let begun = Instant::now() + Duration::from_millis(10);
    let coming = RUNTIME.spawn(async move {
        let (mut running, mut at) = (Vec::new(), begun);
        for number in 0..(rate * SECONDS) as usize {
            at += gaps.next();
            tokio::time::sleep_until(at.into()).await;
            let how = how.clone();
            running.push(tokio::spawn(async move {
                let client = Client::log_in(tls, &how, &user(number)).await?;
                let took = at.elapsed();
                client.log_out().await?;
                Ok::<_, std::io::Error>(took)
            }));
        }
        running
    });
    let running = RUNTIME.block_on(coming)?;
    let mut times = Vec::new();
    for login in running {
        times.push(RUNTIME.block_on(login)??);
    }
    times.sort();
    Ok(times)
}

/// Times between arrivals that know nothing of each other: exponentially distributed, the same for every proxy.
struct Gaps {
    state: u64,
    rate: f64,
}

impl Gaps {
    fn next(&mut self) -> Duration {
        // Marsaglia's xorshift.
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        let uniform = (self.state >> 11) as f64 / (1_u64 << 53) as f64;
        Duration::from_secs_f64(-(1.0 - uniform).ln() / self.rate)
    }
}
