//! `[server]`.

use super::{Faults, is_host_name};
use crate::fault::Fault;
use crate::raw::{Located, Section, Wait};
use crate::snapshot::{OldSessions, OutageReply, Server};
use std::time::Duration;

pub(super) fn check(file: &mut Section<'_>, faults: &mut Faults) -> Option<Server> {
    let Some(mut section) = file.single("server", faults) else {
        let instead = "add `[server]` with `name` and `state_dir`; `usher init` writes an example";
        faults.push(Fault::new(0..0, "there is no [server]", instead));
        return None;
    };
    let name: Option<Located<String>> = section.required("name", "\"mail.example.com\"", faults);
    if let Some(name) = name.as_ref().filter(|name| !is_host_name(&name.value)) {
        faults.push(name.fault("`name` is not a host name", "write a name such as \"mail.example.com\""));
    }
    let state_dir: Option<Located<String>> = section.required("state_dir", "\"/var/lib/usher\"", faults);
    let drain_deadline = section.optional("drain_deadline", faults);
    let login_wait = section.optional("login_wait", faults);
    let stop_delay: Option<Located<Wait>> = section.optional("stop_delay", faults);
    let words = [("bye", OutageReply::Bye), ("no-bye", OutageReply::NoBye), ("no", OutageReply::No)];
    let outage_reply = section.word("outage_reply", &words, faults);
    let words = [("drain", OldSessions::Drain), ("keep", OldSessions::Keep)];
    let old_sessions = section.word("old_sessions", &words, faults);
    section.finish(faults);
    Some(Server {
        name: name?.value,
        state_dir: state_dir?.value.into(),
        drain_deadline: drain_deadline.map_or(Duration::from_secs(600), |d| d.value),
        login_wait: login_wait.map_or(Duration::from_secs(15), |d| d.value),
        stop_delay: stop_delay.map_or(Duration::ZERO, |delay| delay.value.0),
        outage_reply: outage_reply.unwrap_or(OutageReply::NoBye),
        old_sessions: old_sessions.unwrap_or(OldSessions::Drain),
    })
}
