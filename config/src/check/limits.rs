//! `[limits]`: each has a default.

use super::Faults;
use crate::raw::{Octets, Section};
use crate::snapshot::Limits;
use std::time::Duration;

pub(super) fn check(file: &mut Section<'_>, faults: &mut Faults) -> Limits {
    let mut limits = defaults();
    let Some(mut section) = file.single("limits", faults) else { return limits };
    for (key, limit) in [
        ("proxy_header", &mut limits.proxy_header),
        ("tls_handshake", &mut limits.tls_handshake),
        ("silence_before_login", &mut limits.silence_before_login),
        ("before_login", &mut limits.before_login),
        ("idle", &mut limits.idle),
        ("stalled", &mut limits.stalled),
        ("goodbye_window", &mut limits.goodbye_window),
        ("farewell", &mut limits.farewell),
        ("backend_connect", &mut limits.backend_connect),
        ("backend_login", &mut limits.backend_login),
        ("retry", &mut limits.retry),
        ("tcp_keepalive", &mut limits.tcp_keepalive),
        ("tcp_unreachable", &mut limits.tcp_unreachable),
        ("quiet", &mut limits.quiet),
        ("http_header", &mut limits.http_header),
        ("http_idle", &mut limits.http_idle),
        ("http_stalled", &mut limits.http_stalled),
        ("http_backend_idle", &mut limits.http_backend_idle),
    ] {
        if let Some(written) = section.optional(key, faults) {
            *limit = written.value;
        }
    }
    for (key, limit) in [
        ("held_logins", &mut limits.held_logins),
        ("connections", &mut limits.connections),
        ("remembered_placements", &mut limits.remembered_placements),
        ("http_streams", &mut limits.http_streams),
    ] {
        if let Some(written) = section.optional(key, faults) {
            *limit = written.value;
        }
    }
    for (key, limit) in [
        ("proxy_header_size", &mut limits.proxy_header_size),
        ("http_head", &mut limits.http_head),
        ("http_target", &mut limits.http_target),
        ("http_replay", &mut limits.http_replay),
    ] {
        if let Some(written) = section.optional::<Octets>(key, faults) {
            *limit = usize::try_from(written.value.0).unwrap_or(usize::MAX);
        }
    }
    if let Some(written) = section.optional::<u32>("http_fields", faults) {
        limits.http_fields = written.value as usize;
    }
    limits.memory = section.optional::<Octets>("memory", faults).map(|written| written.value.0);
    if let Some(rate) = section.optional::<Octets>("http_min_rate", faults) {
        limits.http_min_rate = rate.value.0;
    }
    section.finish(faults);
    limits
}

fn defaults() -> Limits {
    let s = Duration::from_secs;
    Limits {
        proxy_header: s(3),
        proxy_header_size: 16 * 1024,
        http_head: 32 * 1024,
        http_target: 8 * 1024,
        http_fields: 90,
        http_replay: 64 * 1024,
        tls_handshake: s(10),
        silence_before_login: s(60),
        before_login: s(180),
        idle: s(31 * 60),
        stalled: s(90),
        held_logins: 2000,
        goodbye_window: s(30),
        farewell: s(2),
        backend_connect: s(5),
        backend_login: s(30),
        retry: s(1),
        tcp_keepalive: s(60),
        tcp_unreachable: s(90),
        quiet: s(5),
        http_header: s(10),
        http_idle: s(75),
        http_stalled: s(30),
        http_min_rate: 1024,
        http_streams: 100,
        http_backend_idle: s(50),
        connections: 100_000,
        memory: None,
        remembered_placements: 100_000,
    }
}
