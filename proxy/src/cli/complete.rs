//! What shells complete words with while a command is being typed.

use super::api::Reach;
use clap_complete::engine::{ArgValueCompleter, CompletionCandidate};
use serde_json::Value;
use std::ffi::OsStr;
use std::time::Duration;

/// Longest time that whoever types is kept waiting.
const PATIENCE: Duration = Duration::from_secs(1);

/// The names of hosts and members.
pub(super) fn hosts() -> ArgValueCompleter {
    ArgValueCompleter::new(|typed: &OsStr| {
        let typed = typed.to_string_lossy();
        let names = names().unwrap_or_default().into_iter().filter(|name| name.starts_with(&*typed));
        names.map(CompletionCandidate::new).collect()
    })
}

/// What the running usher knows or, where none is running, what the configuration file names.
fn names() -> Option<Vec<String>> {
    // The shell gives all that has been typed.
    let words: Vec<String> = std::env::args().collect();
    let reach = Reach::of_words(&words);
    let asked = reach.api().and_then(|api| api.waiting(PATIENCE).get::<Vec<Value>>("/v1/hosts"));
    if let Ok(shown) = asked {
        let names = shown.iter().filter_map(|backend| backend["name"].as_str());
        return Some(names.map(str::to_owned).collect());
    }
    let text = std::fs::read_to_string(reach.shown()).ok()?;
    let snapshot = usher_config::load(&text).ok()?;
    let members = snapshot.arrays.iter().flat_map(|array| &array.members).map(|member| &member.name);
    Some(snapshot.hosts.iter().map(|host| &host.name).chain(members).cloned().collect())
}
