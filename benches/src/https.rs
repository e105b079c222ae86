//! CPU time of requests over HTTPS, side by side with nginx and HAProxy: the same certificate, the same backend, the same
//! load, in turn. And of the same requests with a log and without, looked up and not.

use crate::Outcome;
use crate::peers::{Peer, cpu};
use crate::table::{Row, Table};
use std::error::Error;
use std::net::SocketAddr;
use std::process::Command;
use tempfile::TempDir;
use usher_tests::usher::{HTTPS, Setup, Usher};

/// `user@example.com:secret`.
pub(crate) const LOGIN: &str = "authorization: Basic dXNlckBleGFtcGxlLmNvbTpzZWNyZXQ=";
/// Names nobody. It is as long as [`LOGIN`], and no table of HTTP/2 keeps it either (RFC 7541 section 7.1.3).
const NOBODY: &str = "if-none-match: \"dXNlckBleGFtcGxlLmNvbTpzZWNyZXQ=Basi\"";
const ALL: usize = 5;
/// What all negotiate, in h2load's words: nobody has it easier. The suite is the one that browsers like best.
const NEGOTIATED: [&str; 3] =
    ["TLS Protocol: TLSv1.3", "Cipher: TLS_AES_128_GCM_SHA256", "Server Temp Key: X25519 253 bits"];

/// A kind of work.
struct Work {
    name: &'static str,
    requests: u32,
    /// h2load's words.
    words: &'static [&'static str],
    path: &'static str,
    /// Rounds, in each of which every proxy has its turn.
    rounds: usize,
    /// Must and aim, against nginx and against HAProxy.
    nginx: (f64, f64),
    haproxy: Option<(f64, f64)>,
    /// Measured with a log and without, looked up and not.
    with_itself: bool,
}

const SMALL: [Work; 4] = [
    Work {
        name: "1 KiB, HTTP/1.1, 20 connections",
        requests: 40_000,
        words: &["--h1", "-c20", "-m1"],
        path: "/1k",
        rounds: 11,
        nginx: (1.15, 0.95),
        haproxy: None,
        with_itself: true,
    },
    Work {
        name: "1 KiB, HTTP/2, 20 connections of 10 streams",
        requests: 40_000,
        words: &["-c20", "-m10"],
        path: "/1k",
        rounds: 11,
        nginx: (1.50, 1.10),
        haproxy: Some((1.60, 1.20)),
        with_itself: true,
    },
    Work {
        name: "1 KiB, HTTP/1.1, 1,000 connections",
        requests: 20_000,
        words: &["--h1", "-c1000", "-m1"],
        path: "/1k",
        rounds: 5,
        nginx: (1.20, 1.00),
        haproxy: None,
        with_itself: false,
    },
    Work {
        name: "1 KiB, HTTP/2, 1,000 connections",
        requests: 20_000,
        words: &["-c1000", "-m1"],
        path: "/1k",
        rounds: 5,
        nginx: (1.60, 1.20),
        haproxy: None,
        with_itself: false,
    },
];

const LARGE: [Work; 5] = [
    Work {
        name: "100 KiB, HTTP/1.1",
        requests: 6000,
        words: &["--h1", "-c20", "-m1"],
        path: "/100k",
        rounds: 7,
        nginx: (1.05, 0.90),
        haproxy: None,
        with_itself: false,
    },
    Work {
        name: "100 KiB, HTTP/2",
        requests: 6000,
        words: &["-c20", "-m10"],
        path: "/100k",
        rounds: 7,
        nginx: (1.05, 0.90),
        haproxy: None,
        with_itself: false,
    },
    Work {
        name: "10 MiB, HTTP/1.1",
        requests: 60,
        words: &["--h1", "-c4", "-m1"],
        path: "/10m",
        rounds: 7,
        nginx: (0.70, 0.60),
        haproxy: None,
        with_itself: false,
    },
    Work {
        name: "10 MiB, HTTP/2",
        requests: 60,
        words: &["-c4", "-m1"],
        path: "/10m",
        rounds: 7,
        nginx: (0.70, 0.60),
        haproxy: None,
        with_itself: false,
    },
    Work {
        name: "1 KiB, a new connection each",
        requests: 3000,
        words: &["--h1"],
        path: "/1k",
        rounds: 7,
        nginx: (0.62, 0.55),
        haproxy: None,
        with_itself: false,
    },
];

/// Everything that runs, and who is asked: usher, its peers, usher with a log, and usher that sends to an array.
pub(crate) struct Contest {
    _backend: Peer,
    _peers: [Peer; 2],
    ushers: [Usher; 3],
    _files: TempDir,
    pub(crate) proxies: [(&'static str, SocketAddr, u32); ALL],
}

pub(crate) fn measure(table: &mut Table) -> Outcome {
    let contest = Contest::start()?;
    for work in SMALL.iter().chain(&LARGE) {
        contest.measure(work, table)?;
    }
    for (name, words) in [("HTTP/1.1", &["--h1", "-m1"][..]), ("HTTP/2", &["-m10"])] {
        contest.latency(name, words, table)?;
    }
    Ok(())
}

/// All that is asked of usher, once and by nobody but usher.
pub(crate) fn train() -> Outcome {
    let contest = Contest::start()?;
    for work in SMALL.iter().chain(&LARGE) {
        for (name, address, _) in contest.proxies {
            if !matches!(name, "nginx" | "HAProxy") {
                load(address, work, field(name))?;
            }
        }
    }
    contest.ushers.into_iter().for_each(Usher::end);
    Ok(())
}

/// What is sent to this proxy to be passed on.
fn field(proxy: &str) -> &'static str {
    if proxy == "to an array" { NOBODY } else { LOGIN }
}

impl Contest {
    pub(crate) fn start() -> Result<Self, Box<dyn Error>> {
        let quiet = Setup::new().https("").environment("RUST_LOG", "info,usher::https=error");
        let (backend, nginx, haproxy) = (quiet.at(18080), quiet.at(18443), quiet.at(18444));
        let certificate = quiet.certificate.clone();
        let files = tempfile::tempdir()?;
        for (name, size) in [("1k", 1 << 10), ("100k", 100 << 10), ("10m", 10 << 20)] {
            std::fs::write(files.path().join(name), vec![b'x'; size])?;
        }
        let root = files.path().display();
        let stub = format!(
            "http {{ access_log off; sendfile on; open_file_cache max=10; keepalive_requests 100000000; \
             server {{ listen {backend} backlog=4096; root {root}; }} }}"
        );
        // Of one process: of two, each would serve as many of a proxy's connections as chance has given it.
        let stub = Peer::nginx(&certificate, 1, &stub, backend)?;
        let proxy = format!(
            "http {{ access_log off; keepalive_requests 100000000; \
             upstream b {{ server {backend}; keepalive 2048; keepalive_requests 100000000; }} \
             server {{ listen {nginx} ssl http2 reuseport backlog=4096; TLS; \
             location / {{ proxy_pass http://b; proxy_http_version 1.1; \
             proxy_set_header Connection \"\"; proxy_set_header Host $host; \
             proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; }} }} }}"
        );
        let nginx_peer = Peer::nginx(&certificate, 2, &proxy, nginx)?;
        let content = format!(
            " mode http\n option http-keep-alive\n option forwardfor\nfrontend f\n \
             bind {haproxy} ssl crt PEM alpn h2,http/1.1\n default_backend b\nbackend b\n http-reuse always\n \
             server s {backend}"
        );
        let haproxy_peer = Peer::haproxy(&certificate, &content, haproxy)?;
        let homes = |setup: Setup| {
            let setup = setup.web_host("w.test", backend, "tls = \"none\"", "").section("[https]\n");
            let address = setup.at(HTTPS);
            (address, setup.users(&[("user@example.com", "w.test")]).start())
        };
        let logging = Setup::new().https("").environment("RUST_LOG", "info");
        let members = format!(
            "[https]\narray = \"a\"\n[[array]]\nname = \"a\"\nmembers = [{{ name = \"m.test\", \
             http = {{ address = \"{backend}\", tls = \"none\" }} }}]\n"
        );
        let spread =
            Setup::new().https("").environment("RUST_LOG", "info,usher::https=error").section(&members);
        let array = (spread.at(HTTPS), spread.start());
        let (quiet, logging) = (homes(quiet), homes(logging));
        let proxies = [
            ("usher", quiet.0, quiet.1.pid()),
            ("nginx", nginx, nginx_peer.pid()),
            ("HAProxy", haproxy, haproxy_peer.pid()),
            ("with a log", logging.0, logging.1.pid()),
            ("to an array", array.0, array.1.pid()),
        ];
        let (peers, ushers) = ([nginx_peer, haproxy_peer], [quiet.1, logging.1, array.1]);
        Ok(Self { _backend: stub, _peers: peers, ushers, _files: files, proxies })
    }

    fn measure(&self, work: &Work, table: &mut Table) -> Outcome {
        let (must, aim) = work.nginx;
        let mut row =
            Row::new(format!("HTTPS request of {}: CPU", work.name), "µs").against("nginx", must, aim);
        if let Some((must, aim)) = work.haproxy {
            row = row.against("HAProxy", must, aim);
        }
        let mut log = Row::new(format!("{}, with a request log: CPU", work.name), "µs");
        log = log.against("without", 1.08, 1.04);
        let mut lookup = Row::new(format!("{}, with a user who is looked up: CPU", work.name), "µs");
        lookup = lookup.against("to an array", 1.06, 1.03);
        let measured = if work.with_itself { ALL } else { 3 };
        for round in 0..=work.rounds {
            let mut figures = Vec::new();
            for (name, address, pid) in self.proxies.into_iter().take(measured) {
                let before = cpu(pid);
                load(address, work, field(name))?;
                figures.push((name, (cpu(pid) - before) / f64::from(work.requests) * 1e6));
            }
            // The first round fills pools and caches.
            if round == 0 {
                continue;
            }
            let [usher, nginx, haproxy, rest @ ..] = figures.as_slice() else { continue };
            for (name, figure) in [usher, nginx, haproxy] {
                row.add(name, *figure);
            }
            if let [logging, array] = rest {
                log.add("with", logging.1);
                log.add("without", usher.1);
                lookup.add("looked up", usher.1);
                lookup.add("to an array", array.1);
            }
        }
        table.add(row);
        if work.with_itself {
            table.add(log);
            table.add(lookup);
        }
        Ok(())
    }

    /// How long requests take at half the rate that nginx can bear.
    fn latency(&self, name: &str, words: &[&str], table: &mut Table) -> Outcome {
        const CLIENTS: u32 = 20;
        /// How long, and how much of that does not count, since connections are still being opened.
        const SECONDS: f64 = 2.5;
        const OPENING: u64 = 500_000;
        /// A p99 is the luck of a few hundred requests, and two that were measured one after the other are often a quarter
        /// apart.
        const ROUNDS: usize = 31;
        let mut row =
            Row::new(format!("HTTPS request of 1 KiB, {name}, at half of nginx's saturation: p99"), "ms")
                .against("nginx", 1.2, 0.8);
        let clients = format!("-c{CLIENTS}");
        let all: Vec<&str> = words.iter().copied().chain([clients.as_str()]).collect();
        let saturating = Work { words: &[], requests: 40_000, path: "/1k", ..SMALL[0] };
        let begun = std::time::Instant::now();
        let nginx = self.proxies[1].1;
        asked(nginx, &saturating, &all, LOGIN)?;
        let rate = f64::from(saturating.requests) / begun.elapsed().as_secs_f64() / 2.0;
        let each = format!("--rps={:.0}", rate / f64::from(CLIENTS));
        // h2load looks every 10 ms, from the moment at which a connection stands, what it has to send on it. Connections that
        // are opened all at once are the more in step the faster the proxy shakes hands. These look four at a time, 2 ms apart.
        let apart = ["-r1", "--rate-period=12ms"];
        let log = self._files.path().join("times");
        let file = format!("--log-file={}", log.display());
        let all: Vec<&str> = all.into_iter().chain(apart).chain([each.as_str(), file.as_str()]).collect();
        let paced = Work { requests: (rate * SECONDS) as u32, ..saturating };
        for round in 0..=ROUNDS {
            for (who, address, _) in self.proxies.into_iter().take(3) {
                let _ = std::fs::remove_file(&log);
                asked(address, &paced, &all, LOGIN)?;
                let lines = std::fs::read_to_string(&log)?;
                let mut times = times(&lines, OPENING);
                times.sort_unstable();
                let p99 = times.get(times.len() * 99 / 100).copied().unwrap_or_default();
                if round > 0 {
                    row.add(who, p99 as f64 / 1e3);
                }
            }
        }
        table.add(row);
        Ok(())
    }
}

/// How long requests took that began `after` so many µs, in µs, by h2load's log.
fn times(log: &str, after: u64) -> Vec<u64> {
    let request = |line: &str| {
        let mut words = line.split('\t').map(|word| word.parse().ok());
        Some((words.next()??, words.nth(1)??))
    };
    let requests: Vec<(u64, u64)> = log.lines().filter_map(request).collect();
    let from = requests.iter().map(|(at, _)| at).min().map_or(0, |first| first + after);
    requests.into_iter().filter(|(at, _)| *at >= from).map(|(_, took)| took).collect()
}

fn load(address: SocketAddr, work: &Work, field: &str) -> Outcome {
    if work.words.iter().any(|word| word.starts_with("-c")) {
        return asked(address, work, work.words, field);
    }
    // As many clients as requests, in bursts of 1,500.
    let clients = format!("-c{}", work.requests);
    let words: Vec<&str> = work.words.iter().copied().chain([clients.as_str(), "-r1500", "-m1"]).collect();
    asked(address, work, &words, field)
}

fn asked(address: SocketAddr, work: &Work, words: &[&str], field: &str) -> Outcome {
    let requests = work.requests;
    let output = Command::new("h2load")
        .args(["-t1", &format!("-n{requests}"), &format!("--connect-to={address}"), "-H", field])
        .args(["--tls13-ciphers=TLS_AES_128_GCM_SHA256", "--groups=X25519"])
        .args(words)
        .arg(format!("https://mail.test{}", work.path))
        .output()?;
    let said = String::from_utf8_lossy(&output.stdout);
    let protocol = if words.contains(&"--h1") { "http/1.1" } else { "h2" };
    let protocol = format!("Application protocol: {protocol}");
    let whole = format!("status codes: {requests} 2xx");
    for expected in NEGOTIATED.into_iter().chain([protocol.as_str(), whole.as_str()]) {
        if !said.lines().any(|line| line.starts_with(expected)) {
            return Err(format!("h2load at {address} does not say `{expected}`: {said}").into());
        }
    }
    Ok(())
}
