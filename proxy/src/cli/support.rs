//! `usher support-bundle`: what somebody needs to know who is asked for help, in one file. No secret is in it: none is in what
//! the API shows, nor in the settings of the configuration, which name the files that hold them. Comments are left out.

use super::api::{Api, ApiError, Reach};
use super::{Exit, print};
use crate::version;
use clap::Args;
use serde_json::Value;
use std::fs::File;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use tar::{Builder, Header};
use usher_backends::roster::now;

/// What the API is asked for, and what it is called in the bundle.
const PAGES: [(&str, &str); 7] = [
    ("status.json", "/v1/status"),
    ("hosts.json", "/v1/hosts"),
    ("holds.json", "/v1/holds"),
    ("certificates.json", "/v1/certificates"),
    ("moves.json", "/v1/moves"),
    ("rules.json", "/v1/rules"),
    ("config.json", "/v1/config"),
];
/// Of the journal, the last lines.
const LINES: &str = "5000";

#[derive(Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    reach: Reach,
    /// The file to write, which must not exist.
    #[arg(default_value = "usher-support.tar")]
    file: PathBuf,
    /// Leave out the log and the moves, which name users and addresses.
    #[arg(long)]
    without_log: bool,
}

pub(super) fn bundle(arguments: &Arguments) -> Exit {
    match write(arguments) {
        Ok(missing) => {
            let missing = missing.iter().map(|what| format!("not in it: {what}\n")).collect::<String>();
            print(&format!("wrote {}; look at it before you pass it on\n{missing}", arguments.file.display()))
        }
        Err(error) => error.tell(),
    }
}

/// Returns what could not be had.
fn write(arguments: &Arguments) -> Result<Vec<String>, ApiError> {
    let failed = |source| ApiError::File { path: arguments.file.clone(), source };
    let mut options = File::options();
    let file = options.write(true).create_new(true).mode(0o600).open(&arguments.file).map_err(failed)?;
    let mut bundle = Bundle { tar: Builder::new(file), missing: Vec::new() };
    let about = format!("usher {}\n{}", version::full(), said(&["uname", "-a"]).unwrap_or_default());
    bundle.add("version.txt", Ok(about)).map_err(failed)?;
    let text = std::fs::read_to_string(arguments.reach.file()).map_err(|error| error.to_string());
    bundle.add("usher.toml", text.map(|text| settings(&text))).map_err(failed)?;
    match arguments.reach.api() {
        Ok(api) => add_pages(&mut bundle, &api, arguments.without_log).map_err(failed)?,
        Err(error) => bundle.missing.push(format!("what usher itself says ({error})")),
    }
    if !arguments.without_log {
        let log =
            said(&["journalctl", "--unit", "usher", "--lines", LINES, "--no-pager", "--output", "short-iso"]);
        bundle.add("log.txt", log).map_err(failed)?;
    }
    bundle.tar.finish().map_err(failed)?;
    Ok(bundle.missing)
}

fn add_pages(bundle: &mut Bundle, api: &Api, without_users: bool) -> std::io::Result<()> {
    for (name, path) in PAGES.into_iter().filter(|(_, path)| !(without_users && *path == "/v1/moves")) {
        let page = api.get::<Value>(path).map_err(|error| error.to_string());
        let page =
            page.and_then(|page| serde_json::to_string_pretty(&page).map_err(|error| error.to_string()));
        bundle.add(name, page)?;
    }
    bundle.add("metrics.txt", api.text("/metrics").map_err(|error| error.to_string()))?;
    let text = api.text("/v1/config/text").map_err(|error| error.to_string());
    bundle.add("config-in-force.toml", text.map(|text| settings(&text)))
}

/// A configuration without its comments.
fn settings(text: &str) -> String {
    let table = text.parse::<toml::Table>();
    table.map_or_else(|error| format!("# cannot be read: {}\n", error.message()), |table| table.to_string())
}

/// What a program says; `Err`: why it says nothing.
fn said(words: &[&str]) -> Result<String, String> {
    let output = Command::new(words[0])
        .args(&words[1..])
        .output()
        .map_err(|error| format!("{}: {error}", words[0]))?;
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        false => Err(format!("{}: {}", words[0], String::from_utf8_lossy(&output.stderr).trim())),
    }
}

struct Bundle {
    tar: Builder<File>,
    missing: Vec<String>,
}

impl Bundle {
    fn add(&mut self, name: &str, content: Result<String, String>) -> std::io::Result<()> {
        let content = match content {
            Ok(content) => content,
            Err(why) => {
                self.missing.push(format!("{name} ({why})"));
                return Ok(());
            }
        };
        let mut header = Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o600);
        header.set_mtime(u64::try_from(now()).unwrap_or_default());
        header.set_cksum();
        self.tar.append_data(&mut header, Path::new("usher-support").join(name), content.as_bytes())
    }
}
