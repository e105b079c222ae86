//! usher as a process of its own, under a configuration made for the test.

mod setup;

pub use crate::deadline::DEADLINE;
pub use setup::Setup;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Condvar, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

/// The STARTTLS port.
pub const IMAP: u16 = 1143;
/// The implicit-TLS port.
pub const IMAPS: u16 = 1993;

/// The port of HTTPS.
pub const HTTPS: u16 = 1443;

type Lines = Arc<(Mutex<Vec<String>>, Condvar)>;

/// A running usher, killed when it is dropped.
pub struct Usher {
    pub setup: Setup,
    child: Child,
    config: PathBuf,
    log: Lines,
    /// Those that have taken over from it, the latest last.
    successors: Vec<u32>,
}

impl Usher {
    fn listen_to(&mut self) {
        let stderr = self.child.stderr.take().expect("standard error is piped");
        let lines = self.log.clone();
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                lines.0.lock().unwrap().push(line);
                lines.1.notify_all();
            }
        });
    }

    /// Starts it again after it has ended or was killed.
    pub fn restart(&mut self) {
        let before = self.log().matches("serving version").count();
        self.child = self.setup.spawn(&self.config, &[]);
        self.listen_to();
        self.wait_for_logs("serving version", before + 1);
    }

    /// Lets the program take over from the process that serves, and returns what it says.
    pub fn upgrade(&mut self) -> Output {
        let output = self.cli(&["upgrade", "--wait", "20"]);
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let process: Option<u32> =
            said.strip_prefix("process ").and_then(|rest| rest.split(' ').next()?.parse().ok());
        self.successors.extend(process);
        output
    }

    /// A process that has taken over without being asked here.
    pub fn note_successor(&mut self, process: u32) {
        self.successors.push(process);
    }

    /// The same where it must succeed.
    pub fn upgraded(&mut self) {
        let output = self.upgrade();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// Lets something else be the program from now on: a script.
    pub fn replace_program(&self, script: &str) {
        let program = self.setup.program();
        let next = program.with_extension("next");
        std::fs::write(&next, script).unwrap();
        std::fs::set_permissions(&next, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        std::fs::rename(next, program).unwrap();
    }

    /// Lets usher be the program again.
    pub fn restore_program(&self) {
        std::fs::remove_file(self.setup.program()).unwrap();
        self.setup.program();
    }

    /// Kills it, as a crash would.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Kills it and starts it again.
    pub fn restart_after_kill(&mut self) {
        self.kill();
        self.restart();
    }

    /// The configuration file.
    pub fn config(&self) -> &Path {
        &self.config
    }

    /// Changes the text of the configuration file.
    pub fn rewrite(&self, change: impl FnOnce(String) -> String) {
        let text = std::fs::read_to_string(&self.config).unwrap();
        // Never half-written, whoever looks.
        let next = self.config.with_extension("next");
        std::fs::write(&next, change(text)).unwrap();
        std::fs::rename(next, &self.config).unwrap();
    }

    /// The admin socket.
    pub fn socket(&self) -> PathBuf {
        self.setup.dir.path().join("state/admin.sock")
    }

    /// Runs a command that asks it.
    pub fn cli(&self, words: &[&str]) -> Output {
        command(&[words, &["--config", self.config.to_str().unwrap()]].concat())
    }

    /// Runs a command that must succeed, and returns what it says.
    pub fn did(&self, words: &[&str]) -> String {
        let output = self.cli(words);
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{words:?}: {said}{}", String::from_utf8_lossy(&output.stderr));
        said
    }

    /// Asks the API by its socket.
    ///
    /// # Errors
    /// When usher is gone.
    pub fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> std::io::Result<(u16, Value)> {
        ask(&self.socket(), method, path, body)
    }

    /// What the API shows at `path`.
    pub fn shows(&self, path: &str) -> Value {
        let (status, value) = self.ask("GET", path, None).expect("usher answers");
        assert_eq!(status, 200, "{path}: {value}");
        value
    }

    /// Waits until `path` of the API is as `wanted` says.
    pub fn wait_until(&self, path: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let until = Instant::now() + DEADLINE;
        loop {
            let shown = self.shows(path);
            if wanted(&shown) {
                return shown;
            }
            assert!(Instant::now() < until, "{path} stays {shown:#}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// The state of the service of a host or member at position `service`.
    pub fn state(&self, name: &str, service: usize) -> String {
        let shown = self.shows(&format!("/v1/hosts/{name}"));
        shown[0]["services"][service]["state"].as_str().unwrap().to_owned()
    }

    /// Waits until the first service of a host or member is in `state`.
    pub fn wait_for_state(&self, name: &str, state: &str) {
        self.wait_until(&format!("/v1/hosts/{name}"), |shown| shown[0]["services"][0]["state"] == state);
    }

    /// The STARTTLS listener.
    pub fn imap(&self) -> SocketAddr {
        self.setup.at(IMAP)
    }

    /// The implicit-TLS listener.
    pub fn imaps(&self) -> SocketAddr {
        self.setup.at(IMAPS)
    }

    /// The listener for HTTPS.
    pub fn https(&self) -> SocketAddr {
        self.setup.at(HTTPS)
    }

    /// Waits for a log line that holds `pattern`, and returns it.
    pub fn wait_for_log(&self, pattern: &str) -> String {
        self.wait_for_logs(pattern, 1)
    }

    /// Waits for the `count`th log line that holds `pattern`, and returns it.
    pub fn wait_for_logs(&self, pattern: &str, count: usize) -> String {
        let until = Instant::now() + DEADLINE;
        let mut lines = self.log.0.lock().unwrap();
        loop {
            if let Some(line) = lines.iter().filter(|line| line.contains(pattern)).nth(count - 1) {
                return line.clone();
            }
            let left = until.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "no {pattern:?} in the log:\n{}", lines.join("\n"));
            lines = self.log.1.wait_timeout(lines, left).unwrap().0;
        }
    }

    /// All log lines so far.
    pub fn log(&self) -> String {
        // Also for a test that has failed while it waited for a line.
        self.log.0.lock().unwrap_or_else(PoisonError::into_inner).join("\n")
    }

    /// Runs `usher user` on its directory.
    pub fn user(&self, words: &[&str]) -> Output {
        let config = self.config.to_str().unwrap();
        command(&[&["user", "--config", config], words].concat())
    }

    /// The id of the process that serves.
    pub fn pid(&self) -> u32 {
        self.successors.last().copied().unwrap_or_else(|| self.child.id())
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.pid()).ok().and_then(Pid::from_raw).expect("a process id");
        kill_process(pid, signal).expect("usher takes signals");
    }

    /// Waits until it has ended.
    pub fn wait(&mut self) -> ExitStatus {
        let until = Instant::now() + DEADLINE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < until, "usher does not end:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Lets it stop by itself.
    pub fn end(mut self) {
        self.signal(Signal::TERM);
        assert!(self.wait().success(), "usher fails at its end:\n{}", self.log());
    }

    /// Resident memory in octets.
    pub fn resident(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
    }
}

impl Drop for Usher {
    fn drop(&mut self) {
        for successor in &self.successors {
            let pid = i32::try_from(*successor).ok().and_then(Pid::from_raw);
            // Most have ended by themselves.
            let _ = pid.map(|pid| kill_process(pid, Signal::KILL));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("the log of usher:\n{}", self.log());
        }
    }
}

/// Asks the API at `socket`.
///
/// # Errors
/// When nobody answers.
pub fn ask(socket: &Path, method: &str, path: &str, body: Option<&Value>) -> std::io::Result<(u16, Value)> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(DEADLINE))?;
    let body = body.map(ToString::to_string).unwrap_or_default();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let gone = || std::io::Error::from(std::io::ErrorKind::UnexpectedEof);
    let (head, body) = answer.split_once("\r\n\r\n").ok_or_else(gone)?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or_else(gone)?;
    Ok((status, serde_json::from_str(body).unwrap_or_else(|_| Value::String(body.to_owned()))))
}

/// Runs usher with these arguments.
pub fn command(arguments: &[&str]) -> Output {
    Command::new(binary()).args(arguments).stdin(Stdio::null()).output().expect("usher runs")
}

/// The program: the one that `USHER_PROGRAM` names, or else built as the tests are.
pub fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        if let Some(program) = std::env::var_os("USHER_PROGRAM") {
            return program.into();
        }
        // …/target/PROFILE/deps/test
        let test = std::env::current_exe().unwrap();
        let profile =
            test.ancestors().find(|dir| !dir.ends_with("deps") && dir.join("deps").is_dir()).unwrap();
        let mut build = Command::new(env!("CARGO"));
        build
            .args(["build", "--quiet", "--workspace", "--bin", "usher"])
            .current_dir(env!("CARGO_MANIFEST_DIR"));
        if profile.ends_with("release") {
            build.arg("--release");
        }
        assert!(build.status().unwrap().success(), "usher is built");
        profile.join("usher")
    })
}
