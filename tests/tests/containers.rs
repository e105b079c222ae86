//! usher in a container: the image runs as nobody in particular and drains, and the manifests are what Kubernetes takes.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)] // helpers of tests fail by panicking

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use usher_tests::archive::Options;
use usher_tests::client::Client;
use usher_tests::runtime::archive;
use usher_tests::usher::{DEADLINE, Setup, binary, command};

fn root(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join(path)
}

fn text(octets: &[u8]) -> String {
    String::from_utf8_lossy(octets).into_owned()
}

/// Images and containers that nobody else has.
struct Store(TempDir);

impl Store {
    fn options(&self) -> [String; 6] {
        let at = |name: &str| self.0.path().join(name).display().to_string();
        let options = ["--root", &at("images"), "--runroot", &at("run"), "--storage-driver", "vfs"];
        options.map(str::to_owned)
    }

    fn buildah(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("buildah");
        command.args(self.options()).args(arguments).stdin(Stdio::null());
        command
    }

    fn did(&self, arguments: &[&str]) -> String {
        let output =
            self.buildah(arguments).output().expect("buildah is installed; tests/install-peers does it");
        assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
        text(&output.stdout).trim().to_owned()
    }

    fn build(&self, name: &str) -> Output {
        let build = root("packaging/container/build");
        let options = self.options().join(" ");
        Command::new(build).arg(binary()).arg(name).env("BUILDAH_OPTIONS", options).output().unwrap()
    }
}

/// A container that runs until it is dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        if let Some((pid, _)) = served_by(self.0.id()) {
            let _ = kill_process(pid, Signal::KILL);
        }
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn the_image_serves_as_nobody_in_particular_and_drains() {
    let store = Store(tempfile::tempdir().unwrap());
    if !store.buildah(&["from", "scratch"]).output().is_ok_and(|made| made.status.success()) {
        println!("containers cannot be made here");
        return;
    }
    let built = store.build("usher:test");
    assert!(built.status.success(), "{}", text(&built.stderr));
    let inspected: Value =
        serde_json::from_str(&store.did(&["inspect", "--type", "image", "usher:test"])).unwrap();
    let config = &inspected["Docker"]["config"];
    assert_eq!(config["User"], "65532:65532");
    assert_eq!(config["StopSignal"], "SIGTERM");
    assert_eq!(config["Healthcheck"]["Test"].as_array().unwrap().last().unwrap(), "status");
    // The same program gives the same layers.
    assert!(store.build("usher:again").status.success());
    let again: Value =
        serde_json::from_str(&store.did(&["inspect", "--type", "image", "usher:again"])).unwrap();
    assert_eq!(again["Docker"]["rootfs"], inspected["Docker"]["rootfs"]);

    let setup = Setup::new().server("drain_deadline = \"5s\"");
    let at = setup.at(10143);
    archive(Options::named("ih1.test"), at).add_user("anna@example.com", "secret");
    let imaps = setup.at(1993);
    let written = std::fs::read_to_string(setup.host("ih1.test", at, "tls = \"none\"", "").write()).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let in_the_container = written.lines().map(|line| match line.split_once(" = ") {
        Some(("state_dir", _)) => "state_dir = \"/var/lib/usher\"".to_owned(),
        _ => line.to_owned(),
    });
    // The files of the test's certificate are on the outside.
    let without_certificate = in_the_container
        .filter(|line| !["[[certificate]]", "chain =", "key ="].iter().any(|start| line.starts_with(start)));
    let config: Vec<_> = without_certificate.collect();
    std::fs::write(dir.path().join("usher.toml"), config.join("\n")).unwrap();
    open_to_all(dir.path());
    let container = store.did(&["from", "usher:test"]);
    let volume = format!("{}:/etc/usher:ro", dir.path().display());
    let within = |words: &[&str]| {
        let run = ["run", "--isolation", "chroot", "--volume", &volume, &container, "--", "/usr/bin/usher"];
        store.buildah(&[&run[..], words].concat())
    };
    let set = within(&["user", "set", "anna@example.com", "ih1.test"]).output().unwrap();
    assert!(set.status.success(), "{}", text(&set.stderr));
    let serving = within(&["serve"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let mut serving = Running(serving.unwrap());
    let until = Instant::now() + DEADLINE;
    while TcpStream::connect(imaps).is_err() {
        assert!(Instant::now() < until, "it does not listen");
        std::thread::sleep(Duration::from_millis(20));
    }
    let mut client = Client::tls(imaps);
    client.login("anna@example.com", "secret");
    // As the health check asks.
    let said = within(&["status"]).output().unwrap();
    assert!(said.status.success() && text(&said.stdout).contains("1 sessions"), "{}", text(&said.stdout));
    let (pid, uid) = served_by(serving.0.id()).expect("it runs");
    // Whoever is not root has other numbers outside.
    assert!(uid == 65_532 || !rustix::process::getuid().is_root());
    kill_process(pid, Signal::TERM).unwrap();
    assert!(client.line().starts_with("* BYE"), "sessions end with a goodbye");
    let until = Instant::now() + DEADLINE;
    while serving.0.try_wait().unwrap().is_none() {
        assert!(Instant::now() < until, "it does not end");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The process called `usher` among the descendants of `ancestor`, and whose it is.
fn served_by(ancestor: u32) -> Option<(Pid, u32)> {
    let mut found = vec![ancestor];
    let mut at = 0;
    while at < found.len() {
        // Any thread may have started them.
        let threads = std::fs::read_dir(format!("/proc/{}/task", found[at])).into_iter().flatten().flatten();
        for thread in threads {
            let children = std::fs::read_to_string(thread.path().join("children")).unwrap_or_default();
            found.extend(children.split_whitespace().filter_map(|pid| pid.parse::<u32>().ok()));
        }
        at += 1;
    }
    let status = |pid: &u32| std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let usher = found.iter().find(|pid| status(pid).starts_with("Name:\tusher\n"))?;
    let said = status(usher);
    let uid = said.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    let uid = uid.split_whitespace().next()?.parse().ok()?;
    Some((Pid::from_raw(i32::try_from(*usher).ok()?)?, uid))
}

/// Lets the container's user read what is in a directory.
fn open_to_all(dir: &Path) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn kubernetes_takes_the_manifests() {
    let dir = tempfile::tempdir().unwrap();
    let manifests = dir.path().join("kubernetes");
    std::fs::create_dir(&manifests).unwrap();
    for file in std::fs::read_dir(root("packaging/kubernetes")).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), manifests.join(file.file_name())).unwrap();
    }
    for token in ["operator", "reader"] {
        std::fs::write(manifests.join(format!("{token}.token")), format!("{token}-0123456789abcdef"))
            .unwrap();
    }
    let rendered = Command::new("kubectl").arg("kustomize").arg(&manifests).output();
    let rendered = rendered.expect("kubectl is installed; tests/install-peers does it");
    assert!(rendered.status.success(), "{}", text(&rendered.stderr));
    let file = dir.path().join("all.yaml");
    std::fs::write(&file, &rendered.stdout).unwrap();
    let judged = Command::new(root("target/validator/bin/kubernetes-validate"))
        .args(["--strict", "--version", "1.37"])
        .arg(&file)
        .output()
        .expect("the validator is installed; tests/install-peers does it");
    assert!(judged.status.success(), "{} {}", text(&judged.stdout), text(&judged.stderr));

    // What the manifests say and what the configuration says belong together.
    let said = text(&rendered.stdout);
    assert_eq!(said.lines().filter(|line| line.starts_with("kind: ")).count(), 7);
    let number = |key: &str| {
        let line =
            said.lines().find_map(|line| line.trim().strip_prefix(key)).unwrap_or_else(|| panic!("{key}"));
        line.trim().trim_matches('"').parse::<u64>().unwrap()
    };
    let config = std::fs::read_to_string(manifests.join("usher.toml")).unwrap();
    assert!(config.contains("stop_delay = \"10s\"") && config.contains("drain_deadline = \"20s\""));
    assert!(number("terminationGracePeriodSeconds:") > number("seconds:") + 10 + 20);
    let local = config.replace("/run/secrets/usher", manifests.to_str().unwrap());
    let path = dir.path().join("usher.toml");
    std::fs::write(&path, local.replace("/var/lib/usher", dir.path().join("state").to_str().unwrap()))
        .unwrap();
    let checked = command(&["check", "--config", path.to_str().unwrap()]);
    assert!(checked.status.success(), "{}{}", text(&checked.stdout), text(&checked.stderr));
}
