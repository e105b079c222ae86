//! The sources that are elsewhere, each as its real server: a look-up that is remembered beside one in the embedded
//! directory, a login with each, and ten million users in PostgreSQL.

use crate::Outcome;
use crate::table::{Row, Table};
use std::error::Error;
use std::hint::black_box;
use std::path::Path;
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;
use usher_backends::directory::Found;
use usher_backends::sources::{Inquiry, Sources};
use usher_policy::ArchiveKey;
use usher_tests::address;
use usher_tests::client::Client;
use usher_tests::store::{Kind, Site, Store};
use usher_tests::usher::{Setup, command};

const KINDS: [(&str, Kind); 5] = [
    ("PostgreSQL", Kind::Postgres),
    ("LDAP", Kind::Ldap),
    ("Redis", Kind::Redis),
    ("HTTP, JSON", Kind::Json),
    ("auth_http", Kind::AuthHttp),
];
/// Look-ups in a run, and runs side by side.
const LOOK_UPS: u32 = 200_000;
const RUNS: usize = 9;
/// Logins in a run.
const LOGINS: u32 = 300;
const ANNA: &str = "anna@example.com";
/// What was said is used for longer than this takes, or not at all.
const REMEMBERED: &str = "cache = { positive = \"1h\" }\n";
const FORGOTTEN: &str = "cache = { positive = \"1ms\", negative = \"1ms\" }\n";
/// Cold logins a minute that PostgreSQL has to bear, and for how long.
const A_MINUTE: u32 = 10_000;
const HALF: Duration = Duration::from_secs(30);

pub(crate) fn measure(table: &mut Table) -> Outcome {
    let runtime = usher_tests::runtime::with(1);
    remembered(table, &runtime)?;
    logins(table)?;
    many(table, &runtime)
}

/// The sources of a configuration, as usher has them.
fn sources(section: &str, state: &Path, runtime: &Runtime) -> Result<Sources, Box<dyn Error>> {
    let text = format!(
        "[server]\nname = \"mail.test\"\nstate_dir = {state:?}\n[[listener]]\nprotocol = \"imap\"\naddress = \"127.0.0.1:1143\"\n\
         [[domain]]\nname = \"example.com\"\n[directory]\n{section}\n"
    );
    let snapshot = usher_config::load(&text).map_err(|faults| format!("{faults:?}"))?;
    Ok(Sources::new(&snapshot.directory, 100_000, state, runtime.handle())?)
}

fn found(said: &usher_backends::sources::Said) -> Result<(), Box<dyn Error>> {
    match said.found {
        Ok(Found::Now(Some(_))) => Ok(()),
        _ => Err(format!("{said:?}").into()),
    }
}

/// A look-up whose answer is remembered, beside the embedded directory's.
fn remembered(table: &mut Table, runtime: &Runtime) -> Outcome {
    let (state, other) = (tempfile::tempdir()?, tempfile::tempdir()?);
    let store = Store::start(Kind::Redis, std::net::SocketAddr::new(address::own(), 15432));
    store.put(ANNA, "one.test");
    let external = sources(&format!("{REMEMBERED}{}", store.section(store.address)), state.path(), runtime)?;
    let embedded = sources("", other.path(), runtime)?;
    let key = ArchiveKey::User(ANNA.to_owned());
    embedded.ledger().set(&key, "one.test", "bench")?;
    embedded.follow_changes()?;
    let mut row =
        Row::new("look-up that is remembered of an external source", "ns").against("embedded", 1.05, 1.0);
    for _ in 0..RUNS {
        for (who, sources) in [("usher", &external), ("embedded", &embedded)] {
            let figure = runtime.block_on(async {
                found(&sources.find(&Inquiry::about(&key)).await)?;
                let begun = Instant::now();
                for _ in 0..LOOK_UPS {
                    black_box(sources.find(&Inquiry::about(black_box(&key))).await).found?;
                }
                Ok::<_, Box<dyn Error>>(begun.elapsed().as_nanos() as f64 / f64::from(LOOK_UPS))
            })?;
            row.add(who, figure);
        }
    }
    table.add(row);
    Ok(())
}

fn log_in(site: &Site) -> f64 {
    let begun = Instant::now();
    for _ in 0..LOGINS {
        let mut client = Client::plain(site.usher.imap());
        client.line();
        client.login(ANNA, "secret");
    }
    begun.elapsed().as_micros() as f64 / f64::from(LOGINS)
}

/// A login without TLS with each source, remembered and not, beside one by the embedded directory.
fn logins(table: &mut Table) -> Outcome {
    let embedded = |_| String::new();
    for (name, kind) in KINDS {
        let sites = [REMEMBERED, FORGOTTEN].map(|cache| {
            let site = Site::with(kind, cache, "", |section| section);
            site.put(ANNA, 0);
            site
        });
        let own = Site::with(Kind::Redis, REMEMBERED, "", embedded);
        own.let_in(ANNA);
        own.usher.did(&["user", "set", ANNA, "one.test"]);
        for (how, site) in ["remembered", "asked each time"].into_iter().zip(&sites) {
            let mut row = Row::new(format!("login by {name}, {how}"), "µs");
            if how == "remembered" {
                row = row.against("embedded", 1.05, 1.0);
            }
            for _ in 0..RUNS {
                row.add("usher", log_in(site));
                row.add("embedded", log_in(&own));
            }
            table.add(row);
        }
    }
    Ok(())
}

/// Ten million users in PostgreSQL, of whom others ask each time for another one.
fn many(table: &mut Table, runtime: &Runtime) -> Outcome {
    let users: u64 = match std::env::var("USHER_BENCH_USERS") {
        Ok(written) => written.parse()?,
        Err(_) => 10_000_000,
    };
    let setup = Setup::new();
    let store = Store::start(Kind::Postgres, setup.at(15432));
    let setup = setup.section(&format!("[directory]\n{}", store.section(store.address)));
    let config = setup.write();
    let made = command(&["directory", "init", "--config", &config.display().to_string()]);
    if !made.status.success() {
        return Err(String::from_utf8_lossy(&made.stderr).into());
    }
    let begun = Instant::now();
    store.sql(&format!(
        "INSERT INTO usher.change (at, by) VALUES (0, 'bench');
         INSERT INTO usher.entry SELECT 0, 'u' || n || '@example.com', 'ih' || n % 64 || '.test', 1, NULL
         FROM generate_series(0, {}) n; VACUUM ANALYZE usher.entry;",
        users - 1
    ));
    eprintln!("{users} users in {:?}", begun.elapsed());
    let state = tempfile::tempdir()?;
    let sources = sources(&format!("{FORGOTTEN}{}", store.section(store.address)), state.path(), runtime)?;
    let (mut times, mut failed) = (Vec::new(), 0);
    let pause = Duration::from_secs(60) / A_MINUTE;
    runtime.block_on(async {
        let begun = Instant::now();
        let mut tick = tokio::time::interval(pause);
        for number in 0_u64.. {
            if begun.elapsed() > HALF {
                break;
            }
            tick.tick().await;
            let key = ArchiveKey::User(format!("u{}@example.com", number * 7_919_993 % users));
            let one = Instant::now();
            let said = sources.find(&Inquiry::about(&key)).await;
            times.push(one.elapsed());
            failed += usize::from(found(&said).is_err());
        }
    });
    if failed > 0 {
        return Err(format!("{failed} of {} look-ups have failed", times.len()).into());
    }
    times.sort();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3;
    let rate = times.len() as f64 / HALF.as_secs_f64() * 60.0;
    for (what, unit, figure, most) in [
        ("cold look-ups a minute", "", rate, None),
        ("cold look-up, median", "ms", at(0.5), None),
        ("cold look-up, p99", "ms", at(0.99), Some(5.0)),
    ] {
        let mut row = Row::new(format!("PostgreSQL with {users} users: {what}"), unit);
        if let Some(most) = most {
            row = row.at_most(most, most / 2.0);
        }
        row.add("usher", figure);
        table.add(row);
    }
    Ok(())
}
