//! The sources that are elsewhere, each as its real server: a look-up that is remembered beside one in the embedded
//! directory, a login with each, and ten million users in PostgreSQL.

use crate::Outcome;
use crate::client::{Client as Arrival, How, RUNTIME};
use crate::stub::Stub;
use crate::table::{Row, Table};
use std::error::Error;
use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
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
/// Hosts that ten million users are on.
const HOSTS: u32 = 64;
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

fn found(said: &usher_backends::sources::Said) -> Result<(), String> {
    match said.found {
        Ok(Found::Now(Some(_))) => Ok(()),
        _ => Err(format!("{said:?}")),
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

/// Ten million users in PostgreSQL, of whom others are asked about, and then log in, each time another one.
fn many(table: &mut Table, runtime: &Runtime) -> Outcome {
    let users: u64 = match std::env::var("USHER_BENCH_USERS") {
        Ok(written) => written.parse()?,
        Err(_) => 10_000_000,
    };
    let stub = Stub::start()?;
    let setup = Setup::new().imap("plaintext_from = [\"127.0.0.0/8\"]");
    let store = Store::start(Kind::Postgres, setup.at(15432));
    let section = format!("{FORGOTTEN}{}", store.section(store.address));
    let mut setup = setup.section(&format!("[directory]\n{section}"));
    for number in 0..HOSTS {
        setup = setup.host(&format!("ih{number}.test"), stub.imap(), "tls = \"none\"", "");
    }
    let config = setup.write();
    let made = command(&["directory", "init", "--config", &config.display().to_string()]);
    if !made.status.success() {
        return Err(String::from_utf8_lossy(&made.stderr).into());
    }
    let begun = Instant::now();
    store.sql(&format!(
        "INSERT INTO usher.change (at, by) VALUES (0, 'bench');
         INSERT INTO usher.entry SELECT 0, 'u' || n || '@example.com', 'ih' || n % {HOSTS} || '.test', 1, NULL
         FROM generate_series(0, {}) n; VACUUM ANALYZE usher.entry;",
        users - 1
    ));
    eprintln!("{users} users in {:?}", begun.elapsed());
    let name = |number: u64| format!("u{}@example.com", number * 7_919_993 % users);
    let state = tempfile::tempdir()?;
    let sources = Arc::new(sources(&section, state.path(), runtime)?);
    let look_ups = runtime.block_on(at_a_rate(|number| {
        let (sources, key) = (sources.clone(), ArchiveKey::User(name(number)));
        async move { Ok(found(&sources.find(&Inquiry::about(&key)).await)?) }
    }))?;
    let usher = setup.start();
    let address = usher.imap();
    let logins = RUNTIME.block_on(at_a_rate(|number| {
        let user = name(number + u64::from(A_MINUTE));
        async move { Ok(Arrival::log_in(address, &How::Plain, &user).await.map(drop)?) }
    }))?;
    let slow = share_over_5_ms(usher.shows("/metrics").as_str().unwrap_or_default())?;
    let at = |times: &[Duration], share: f64| {
        times[((times.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3
    };
    let rate = logins.len() as f64 / HALF.as_secs_f64() * 60.0;
    for (what, unit, figure, most) in [
        ("cold look-up, median", "ms", at(&look_ups, 0.5), None),
        ("cold look-up, p99", "ms", at(&look_ups, 0.99), Some(5.0)),
        ("cold logins a minute", "", rate, None),
        ("cold login, median", "ms", at(&logins, 0.5), None),
        ("cold login, p99", "ms", at(&logins, 0.99), None),
        ("look-ups of cold logins that take more than 5 ms", "%", slow, Some(1.0)),
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

/// Does `one` after another at the rate that has to be borne, whether the ones before have ended or not. Returns how long each
/// has taken, in order.
///
/// # Errors
/// The first one's that fails.
async fn at_a_rate<F>(one: impl Fn(u64) -> F) -> Result<Vec<Duration>, Box<dyn Error>>
where
    F: Future<Output = Result<(), Box<dyn Error + Send + Sync>>> + Send + 'static,
{
    let mut tick = tokio::time::interval(Duration::from_secs(60) / A_MINUTE);
    let (begun, mut started) = (Instant::now(), Vec::new());
    while begun.elapsed() < HALF {
        tick.tick().await;
        let doing = one(started.len() as u64);
        started.push(tokio::spawn(async move {
            let begun = Instant::now();
            doing.await.map(|()| begun.elapsed())
        }));
    }
    let mut times = Vec::new();
    for doing in started {
        times.push(doing.await?.map_err(|error| error.to_string())?);
    }
    times.sort();
    Ok(times)
}

/// The share of look-ups in percent that took more than 5 ms, as usher itself has measured them.
fn share_over_5_ms(metrics: &str) -> Result<f64, Box<dyn Error>> {
    let name = "usher_directory_lookup_duration_seconds_bucket{source=\"postgres\",le=";
    let up_to = |limit: &str| -> Result<f64, Box<dyn Error>> {
        let mut lines = metrics.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix(limit));
        Ok(lines.next().ok_or_else(|| format!("no {name}{limit}"))?.trim_start_matches("} ").parse()?)
    };
    let (all, soon) = (up_to("\"+Inf\"")?, up_to("\"0.005\"")?);
    Ok((all - soon) / all * 100.0)
}
