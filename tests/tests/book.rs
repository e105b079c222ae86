//! What the book shows is what usher does: its configurations are taken, its commands run, and the pages that are made
//! from the program are those that it makes.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)] // helpers of tests fail by panicking

use std::collections::BTreeSet;
use std::fmt::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use usher_tests::archive::Options;
use usher_tests::runtime::archive;
use usher_tests::usher::{Setup, Usher, binary, command};

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/book/src")
}

fn text(octets: &[u8]) -> String {
    String::from_utf8_lossy(octets).into_owned()
}

/// A block of a page: its language, its first line's number and its lines.
struct Block {
    page: String,
    line: usize,
    language: String,
    lines: Vec<String>,
}

impl Block {
    fn place(&self) -> String {
        format!("{}:{}", self.page, self.line)
    }
}

/// All blocks of all pages that people have written.
fn blocks() -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut pages: Vec<_> = std::fs::read_dir(source()).unwrap().map(|page| page.unwrap().path()).collect();
    pages.sort();
    for page in pages {
        let name = page.file_name().unwrap().to_str().unwrap().to_owned();
        if ["commands.md", "configuration.md"].contains(&name.as_str()) {
            continue;
        }
        let mut open: Option<Block> = None;
        for (at, line) in std::fs::read_to_string(&page).unwrap().lines().enumerate() {
            match (line.strip_prefix("```"), &mut open) {
                (Some(language), None) => {
                    let (page, language) = (name.clone(), language.to_owned());
                    open = Some(Block { page, line: at + 1, language, lines: Vec::new() });
                }
                (Some(_), Some(_)) => blocks.extend(open.take()),
                (None, Some(block)) => block.lines.push(line.to_owned()),
                (None, None) => {}
            }
        }
        assert!(open.is_none(), "{name}: a block is not closed");
    }
    blocks
}

#[test]
fn every_block_is_of_a_kind_that_is_tried() {
    let kinds: BTreeSet<_> = blocks().into_iter().map(|block| block.language).collect();
    let known = ["console", "dovecot", "haproxy", "keepalived", "nginx", "sh", "sysctl", "toml"];
    assert_eq!(kinds.iter().map(String::as_str).collect::<Vec<_>>(), known);
}

#[test]
fn pages_are_listed_and_lead_to_pages_that_there_are() {
    let summary = std::fs::read_to_string(source().join("SUMMARY.md")).unwrap();
    for page in std::fs::read_dir(source()).unwrap() {
        let page = page.unwrap();
        let name = page.file_name().into_string().unwrap();
        assert!(name == "SUMMARY.md" || summary.contains(&format!("({name})")), "{name} is not listed");
        let content = std::fs::read_to_string(page.path()).unwrap();
        for link in content.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let target = link.split('#').next().unwrap();
            let is_elsewhere = target.is_empty() || target.contains("://");
            assert!(is_elsewhere || source().join(target).exists(), "{name}: {link}");
        }
    }
}

/// A configuration of the book with what it leaves out.
fn completed(shown: &str, dir: &Path) -> String {
    let mut config = String::new();
    if !shown.contains("[server]") {
        config.push_str("[server]\nname = \"mail.example.com\"\nstate_dir = \"/var/lib/usher\"\n");
    }
    if !shown.contains("[[listener]]") {
        config.push_str("[[listener]]\nprotocol = \"imaps\"\naddress = \"[::]:993\"\n");
    }
    if !shown.contains("[[instance_host]]") {
        for host in ["ih1", "ih2"] {
            let _ = write!(
                config,
                "[[instance_host]]\nname = \"{host}.example.com\"\n\
                 imap = {{ address = \"{host}.example.com:993\", tls = \"implicit\" }}\n"
            );
        }
    }
    config.push_str(shown);
    // Files and directories that are on the operator's machine.
    for name in ["master.secret", "operator.token", "reader.token"] {
        std::fs::write(dir.join(name), format!("{name}-0123456789abcdef")).unwrap();
    }
    config
        .replace("/var/lib/usher", dir.join("state").to_str().unwrap())
        .replace("/etc/usher/master.secret", dir.join("master.secret").to_str().unwrap())
        .replace("/run/secrets/usher", dir.to_str().unwrap())
}

#[test]
fn every_configuration_is_taken() {
    let mut seen = 0;
    for block in blocks().iter().filter(|block| block.language == "toml") {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("usher.toml");
        std::fs::write(&path, completed(&block.lines.join("\n"), dir.path())).unwrap();
        let checked = command(&["check", "--config", path.to_str().unwrap()]);
        assert!(checked.status.success(), "{}: {}", block.place(), text(&checked.stderr));
        seen += 1;
    }
    assert!(seen > 20, "{seen}");
}

/// What another program has against a file of its own.
fn judged(language: &str, dir: &Path, shown: &str) -> Result<(), String> {
    let file = dir.join("shown");
    let run = |program: &str, arguments: &[&str]| {
        let mut asked = Command::new(program);
        asked.args(arguments).arg(&file);
        asked.output().unwrap_or_else(|error| panic!("{program}: {error}; tests/install-peers installs it"))
    };
    let said = match language {
        "nginx" => {
            let module = "load_module /usr/lib/nginx/modules/ngx_mail_module.so;";
            let own =
                format!("{module}\npid {0}/pid;\nerror_log {0}/log;\nevents {{}}\n{shown}", dir.display());
            // It opens what it is to listen at.
            let socket = format!("listen unix:{}/socket;", dir.display());
            std::fs::write(&file, own.replace("listen 143;", &socket)).unwrap();
            run("nginx", &["-t", "-p", dir.to_str().unwrap(), "-c"])
        }
        "haproxy" => {
            std::fs::write(&file, format!("{shown}\n")).unwrap();
            run("haproxy", &["-c", "-f"])
        }
        "dovecot" => {
            std::fs::write(&file, shown).unwrap();
            run("doveconf", &["-n", "-c"])
        }
        _ => {
            // Every machine has this interface.
            std::fs::write(&file, shown.replace("eth0", "lo")).unwrap();
            let log = dir.join("log");
            let test = format!("--config-test={}", log.display());
            // It may end itself by a signal after the test, so what it has written counts.
            run("setsid", &["--wait", "keepalived", &test, "--use-file"]);
            let faults = std::fs::read_to_string(log).unwrap_or_default();
            let meant = |line: &&str| !line.contains("cannot use a loopback interface");
            let faults: String = faults.lines().filter(meant).collect();
            return if faults.is_empty() { Ok(()) } else { Err(faults) };
        }
    };
    if said.status.success() { Ok(()) } else { Err(text(&said.stderr) + &text(&said.stdout)) }
}

#[test]
fn what_others_are_given_is_taken_by_them() {
    for block in blocks() {
        let language = block.language.as_str();
        if language == "sysctl" {
            for line in &block.lines {
                let (name, _) = line.split_once(" = ").unwrap();
                let known = Path::new("/proc/sys").join(name.replace('.', "/")).exists();
                // A namespace of its own has not all of those for the whole machine.
                assert!(known || name.starts_with("net.core"), "{}: {name}", block.place());
            }
        } else if ["nginx", "haproxy", "dovecot", "keepalived"].contains(&language) {
            let dir = tempfile::tempdir().unwrap();
            let shown = block.lines.join("\n");
            assert_eq!(judged(language, dir.path(), &shown), Ok(()), "{}", block.place());
            // Whoever takes everything has not looked.
            assert!(judged(language, dir.path(), &format!("{shown}\nno_such_thing = {{ 1;\n")).is_err());
        }
    }
}

/// Whether `line` is what `shown` says, where `…` stands for anything.
fn is_like(line: &str, shown: &str) -> bool {
    let mut rest = line;
    for part in shown.split('…') {
        match rest.find(part.trim()) {
            Some(at) => rest = &rest[at + part.trim().len()..],
            None => return false,
        }
    }
    true
}

/// usher with two hosts, of which the book speaks.
fn world() -> (Usher, String) {
    let setup = Setup::new();
    let (admin, one, two) = (setup.at(9143), setup.at(10143), setup.at(10144));
    for (name, at) in [("ih1.example.com", one), ("ih2.example.com", two)] {
        archive(Options::named(name), at).add_user("anna@example.com", "secret");
    }
    let web = |at| {
        format!(
            "http = {{ address = \"{at}\", tls = \"none\" }}\nhealth = {{ http = {{ probe = \"none\" }} }}"
        )
    };
    let usher = setup
        .https("")
        .section(&format!("[admin]\nlisten = \"{admin}\"\n[https]"))
        .host("ih1.example.com", one, "tls = \"none\"", &web("127.0.0.1:9"))
        .host("ih2.example.com", two, "tls = \"none\"", &web("127.0.0.1:9"))
        .users(&[("anna@example.com", "ih1.example.com"), ("bert@example.com", "ih1.example.com")])
        .start();
    (usher, admin.to_string())
}

#[test]
fn every_command_does_what_is_shown() {
    let (usher, admin) = world();
    let dir = tempfile::tempdir().unwrap();
    // As on the machine of whoever reads it: usher is in the path, and its configuration where it belongs.
    let shim = dir.path().join("usher");
    let config = usher.config().display();
    let script = format!("#!/bin/sh\nexec {} \"$@\" --config {config}\n", binary().display());
    std::fs::write(&shim, script).unwrap();
    std::fs::set_permissions(&shim, std::fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", dir.path().display(), std::env::var("PATH").unwrap());
    let mut ran = 0;
    for block in blocks().iter().filter(|block| block.language == "console") {
        let mut lines = block.lines.iter().peekable();
        while let Some(line) = lines.next() {
            let shown = line.strip_prefix("$ ").unwrap_or_else(|| panic!("{}: {line}", block.place()));
            let output = Command::new("sh")
                .args(["-c", &shown.replace("127.0.0.1:9143", &admin)])
                .current_dir(dir.path())
                .env("PATH", &path)
                .output()
                .unwrap();
            let said = text(&output.stdout) + &text(&output.stderr);
            assert!(output.status.success(), "{}: {shown}: {said}", block.place());
            let mut left = said.lines();
            while let Some(wanted) = lines.next_if(|line| !line.starts_with("$ ")) {
                let there = *wanted == "…" || left.any(|line| is_like(line, wanted));
                assert!(there, "{}: {shown}: {wanted:?} is not in {said}", block.place());
            }
            ran += 1;
        }
    }
    assert!(ran > 40, "{ran}");
}

/// What is for the reader's own machine cannot be run here, but usher must know it.
#[test]
fn commands_for_an_administrator_are_such_as_there_are() {
    let known = std::fs::read_to_string(source().join("commands.md")).unwrap();
    let mut seen = 0;
    for block in blocks().iter().filter(|block| block.language == "sh") {
        for line in block.lines.iter().filter_map(|line| line.strip_prefix("# usher ")) {
            let words: Vec<_> = line.split_whitespace().collect();
            let named = |count: usize| format!("\n## usher {}\n", words[..count].join(" "));
            let (_, section) = known
                .split_once(&named(2.min(words.len())))
                .or_else(|| known.split_once(&named(1)))
                .unwrap_or_else(|| panic!("{}: {line}", block.place()));
            let section = section.split("\n## ").next().unwrap();
            for flag in words.iter().filter(|word| word.starts_with("--")) {
                assert!(section.contains(flag), "{}: {flag} of {line}", block.place());
            }
            seen += 1;
        }
    }
    assert!(seen > 2, "{seen}");
}

/// `make book` writes them anew.
#[test]
fn pages_made_from_the_program_are_those_that_it_makes() {
    for page in ["commands", "configuration"] {
        let made = command(&["reference", page]);
        assert!(made.status.success());
        let there = std::fs::read_to_string(source().join(format!("{page}.md"))).unwrap();
        assert!(text(&made.stdout) == there, "{page}.md differs: make book writes it anew");
    }
}
