//! What operators install: the Debian package, the manual pages, completions, and the wizard.

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic)] // helpers of tests fail by panicking

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use usher_tests::address;
use usher_tests::archive::{Options, Tls};
use usher_tests::certificate::Certificate;
use usher_tests::client::Client;
use usher_tests::runtime::archive;
use usher_tests::usher::{Setup, binary, command};

fn packaging() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging")
}

fn did(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Builds the packages into `dir` and returns the main one.
fn build(dir: &Path) -> PathBuf {
    let build = packaging().join("debian/build");
    did(Command::new(build).arg(binary()).arg(dir).env("COMPRESSION", "none").env("TMPDIR", dir));
    let found = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    found.into_iter().find(|path| path.file_name().unwrap().to_str().unwrap().starts_with("usher_")).unwrap()
}

#[test]
fn the_package_has_what_it_needs_and_is_the_same_each_time() {
    // On file systems that count differently, where there are two.
    let other = Path::new("/dev/shm").is_dir().then(|| tempfile::tempdir_in("/dev/shm").unwrap());
    let dirs = [tempfile::tempdir().unwrap(), other.unwrap_or_else(|| tempfile::tempdir().unwrap())];
    let [first, second] = dirs.each_ref().map(|dir| build(dir.path()));
    assert!(std::fs::read(&first).unwrap() == std::fs::read(second).unwrap(), "two builds differ");
    let files = did(Command::new("dpkg-deb").arg("--contents").arg(&first));
    for file in [
        "./usr/bin/usher",
        "./lib/systemd/system/usher.service",
        "./lib/systemd/system/usher-imap.socket",
        "./usr/lib/sysusers.d/usher.conf",
        "./usr/lib/tmpfiles.d/usher.conf",
        "./usr/share/usher/usher.toml",
        "./etc/fail2ban/filter.d/usher.conf",
        "./usr/share/man/man8/usher.8.gz",
        "./usr/share/man/man8/usher-user-import.8.gz",
        "./usr/share/man/man5/usher.toml.5.gz",
        "./usr/share/bash-completion/completions/usher",
        "./usr/share/usher/prometheus/usher.rules.yml",
        "./usr/share/usher/grafana/usher.json",
        "./usr/share/doc/usher/copyright",
    ] {
        assert!(files.lines().any(|line| line.ends_with(file)), "{file} is missing:\n{files}");
    }
    assert!(files.lines().all(|line| line.contains("root/root")), "{files}");
    let field = |name: &str| did(Command::new("dpkg-deb").arg("--field").arg(&first).arg(name));
    assert!(field("Depends").contains("libc6"), "{}", field("Depends"));
    let built =
        |entry: &std::io::Result<std::fs::DirEntry>| entry.as_ref().unwrap().path().extension().is_some();
    let symbols = std::fs::read_dir(dirs[0].path()).unwrap().filter(built).count();
    assert_eq!(symbols, 2, "the program and its debug symbols");
    // What it serves at first is nothing, and that without faults.
    let dir = tempfile::tempdir().unwrap();
    did(Command::new("dpkg-deb").arg("--extract").arg(&first).arg(dir.path()));
    let config = dir.path().join("usr/share/usher/usher.toml");
    let checked = command(&["check", "--strict", "--config", config.to_str().unwrap()]);
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
    for page in std::fs::read_dir(dir.path().join("usr/share/man/man8")).unwrap() {
        is_readable(&page.unwrap().path());
    }
    is_readable(&dir.path().join("usr/share/man/man5/usher.toml.5.gz"));
}

/// Whether a manual page is without faults.
fn is_readable(page: &Path) {
    let shown = "zcat \"$1\" | groff -k -man -Tutf8 -ww -z";
    let output = Command::new("sh").args(["-c", shown, "sh"]).arg(page).output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{}: {output:?}", page.display());
}

#[test]
fn the_unit_is_sound_and_exposed_to_little() {
    let unit = packaging().join("systemd/usher.service");
    // The program is not installed here.
    let text = std::fs::read_to_string(unit).unwrap().replace("/usr/bin/usher", binary().to_str().unwrap());
    let dir = tempfile::tempdir().unwrap();
    let unit = dir.path().join("usher.service");
    std::fs::write(&unit, text).unwrap();
    did(Command::new("systemd-analyze").args(["verify"]).arg(&unit));
    did(Command::new("systemd-analyze").args(["security", "--offline=true", "--threshold=20"]).arg(&unit));
}

/// What bash offers for the last of these words.
fn offered(words: &[&str], usher: &Path) -> String {
    let script = "source <(usher completions bash); COMP_WORDS=(\"$@\"); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); \
                  _clap_complete_usher usher \"${COMP_WORDS[COMP_CWORD]}\" x; printf '%s\\n' \"${COMPREPLY[@]}\"";
    let path = format!("{}:{}", usher.parent().unwrap().display(), std::env::var("PATH").unwrap());
    did(Command::new("bash").args(["-c", script, "bash"]).args(words).env("PATH", path))
}

#[test]
fn completions_know_the_names_of_hosts() {
    let setup = Setup::new();
    let address = setup.at(10143);
    let mut usher = setup.host("ih7.test", address, "tls = \"none\"", "").start();
    usher.did(&["host", "add", "ih8.test", "--address", "127.0.0.1:9", "--tls", "none"]);
    let program = usher.setup.program();
    let config = usher.config().to_str().unwrap().to_owned();
    let typed = ["usher", "drain", "--config", &config, "ih"];
    let shown = offered(&typed, &program);
    assert!(shown.contains("ih7.test") && shown.contains("ih8.test"), "{shown}");
    assert!(offered(&["usher", "dra"], &program).contains("drain"));
    // Without usher, as far as the file knows.
    usher.kill();
    let shown = offered(&typed, &program);
    assert!(shown.contains("ih7.test") && !shown.contains("ih8.test"), "{shown}");
}

/// Lets the wizard write `file`, with these answers.
fn wizard(file: &Path, answers: &[&str]) -> Output {
    let mut child = Command::new(binary())
        .args(["init", "--wizard"])
        .arg(file)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all((answers.join("\n") + "\n").as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

#[test]
fn the_wizard_writes_a_file_that_serves() {
    let (setup, ip) = (Setup::new(), address::own());
    let home = std::net::SocketAddr::new(ip, 10993);
    let certificate = Some(Certificate::for_names(&["ih.test"]));
    let options = Options { tls: Tls::Implicit, certificate, ..Options::named("ih.test") };
    let archive = archive(options, home);
    archive.add_user("anna@example.com", "secret");
    let file = setup.dir.path().join("wizard.toml");
    let at = home.to_string();
    let answers = [
        "mail.test",
        "imaps https nonsense",
        "imap, imaps",
        &at,
        "yes",
        "ih.test",
        "",
        "later",
        "domain",
        "",
        "ih.test",
    ];
    let output = wizard(&file, &answers);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("sha256:"), "it shows the fingerprint: {said}");
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(text.contains("fingerprints = [\"sha256:"), "{text}");
    let config = file.to_str().unwrap();
    let checked = command(&["check", "--config", config]);
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
    // On ports that a test may have.
    let state = setup.dir.path().join("state");
    let text = text
        .replace("/var/lib/usher", state.to_str().unwrap())
        .replace("127.0.0.1:9143", &setup.at(19143).to_string())
        .replace("[::]:143", &setup.at(1143).to_string())
        .replace("[::]:993", &setup.at(1993).to_string());
    std::fs::write(&file, text).unwrap();
    assert!(command(&["user", "--config", config, "set", "@example.com", "ih.test"]).status.success());
    let usher = setup.start_by(&file);
    let mut client = Client::tls(usher.imaps());
    client.login("anna@example.com", "secret");
    // What is replaced is kept, and whoever could read it still can, whatever the umask.
    let mode = |file: &Path| {
        std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(file).unwrap().permissions()) & 0o777
    };
    std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o640)).unwrap();
    let text = std::fs::read(&file).unwrap();
    for kept in ["wizard.toml.old", "wizard.toml.old2"] {
        let replaced = "umask 077; exec \"$0\" init --replace \"$1\"";
        did(Command::new("sh").args(["-c", replaced]).arg(binary()).arg(&file));
        assert_eq!(mode(&file), 0o640);
        let kept = file.with_file_name(kept);
        assert!(kept.exists());
        assert_eq!(std::fs::read(file.with_file_name("wizard.toml.old")).unwrap(), text);
    }
    // Nothing is written over, and nobody who answers is waited for.
    let again = wizard(&file, &answers);
    assert!(!again.status.success() && String::from_utf8_lossy(&again.stderr).contains("exists"));
    let cut_off = wizard(&setup_file(&usher), &answers[..3]);
    assert!(!cut_off.status.success() && String::from_utf8_lossy(&cut_off.stderr).contains("nobody answers"));
}

fn setup_file(usher: &usher_tests::usher::Usher) -> PathBuf {
    usher.setup.dir.path().join("other.toml")
}
