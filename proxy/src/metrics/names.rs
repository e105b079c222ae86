//! Every metric: its name, its kind and what it says. The manual's table is this one.

/// How a metric counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Counter,
    Gauge,
    Histogram,
}

pub(crate) const CONNECTIONS: &str = "usher_connections_total";
pub(crate) const OPEN: &str = "usher_connections";
pub(crate) const SESSIONS: &str = "usher_sessions";
pub(crate) const LOGINS: &str = "usher_logins_total";
pub(crate) const DENIED: &str = "usher_access_denied_total";
pub(crate) const GUESSES: &str = "usher_guessing_failures_total";
pub(crate) const DELAYED: &str = "usher_guessing_delayed_total";
pub(crate) const HELD_OFF: &str = "usher_guessing_refused_total";
pub(crate) const GUESSING_RECORDS: &str = "usher_guessing_records";
pub(crate) const BANS: &str = "usher_bans";
pub(crate) const LOGIN_TIME: &str = "usher_login_duration_seconds";
pub(crate) const STAGE_TIME: &str = "usher_stage_duration_seconds";
pub(crate) const CONNECT_FAILURES: &str = "usher_host_connect_failures_total";
pub(crate) const BYTES: &str = "usher_bytes_total";
pub(crate) const CLOSED: &str = "usher_closed_total";
pub(crate) const REQUESTS: &str = "usher_http_requests_total";
pub(crate) const REQUEST_TIME: &str = "usher_http_request_duration_seconds";
pub(crate) const REFUSED: &str = "usher_http_refused_total";
pub(crate) const RETRIES: &str = "usher_http_retries_total";
pub(crate) const KEPT: &str = "usher_http_backend_connections_idle";
pub(crate) const HELD: &str = "usher_held_logins";
pub(crate) const FORMER: &str = "usher_former_processes";
pub(crate) const HANDSHAKES: &str = "usher_tls_handshakes_total";
pub(crate) const CERTIFICATE: &str = "usher_tls_certificate_expiry_timestamp_seconds";
pub(crate) const ORDERS: &str = "usher_acme_orders_total";
pub(crate) const FAILING: &str = "usher_acme_failing_names";
pub(crate) const LOOKUPS: &str = "usher_directory_lookups_total";
pub(crate) const LOOKUP_TIME: &str = "usher_directory_lookup_duration_seconds";
pub(crate) const STALE_ENTRIES: &str = "usher_directory_stale_entries_total";
pub(crate) const ANSWERED: &str = "usher_lookups_answered_total";
pub(crate) const STALE: &str = "usher_directory_stale";
pub(crate) const SOURCE_UP: &str = "usher_directory_source_up";
pub(crate) const SOURCE_REMEMBERED: &str = "usher_directory_remembered_answers";
pub(crate) const STATE: &str = "usher_host_state";
pub(crate) const HOLD: &str = "usher_host_hold";
pub(crate) const LEASES: &str = "usher_host_leases";
pub(crate) const HOST_LOGIN_TIME: &str = "usher_host_login_duration_seconds";
pub(crate) const HOST_REQUEST_TIME: &str = "usher_host_request_duration_seconds";
pub(crate) const HOST_BYTES: &str = "usher_host_bytes_total";
pub(crate) const HOST_FAILURES: &str = "usher_host_failures_total";
pub(crate) const CHECKS: &str = "usher_host_checks_total";
pub(crate) const CHECK_TIME: &str = "usher_host_check_duration_seconds";
pub(crate) const HOST_CERTIFICATE: &str = "usher_host_certificate_expiry_timestamp_seconds";
pub(crate) const SUSPECTED: &str = "usher_checker_suspected";
pub(crate) const DRAIN_LEFT: &str = "usher_drain_sessions_left";
pub(crate) const DRAIN_BEGAN: &str = "usher_drain_sessions_at_start";
pub(crate) const RELOADS: &str = "usher_config_reloads_total";
pub(crate) const RELOADED: &str = "usher_config_last_reload_successful";
pub(crate) const RELOADED_AT: &str = "usher_config_last_reload_success_timestamp_seconds";
pub(crate) const PRESSURE: &str = "usher_memory_pressure";
pub(crate) const STOPPING: &str = "usher_stopping";
pub(crate) const BUILD: &str = "usher_build_info";

/// The table.
pub(crate) const ALL: &[(&str, Kind, &str)] = &[
    (CONNECTIONS, Kind::Counter, "Connections by listener, protocol and result: accepted or shed."),
    (OPEN, Kind::Gauge, "Open connections."),
    (SESSIONS, Kind::Gauge, "Sessions by listener, protocol and host."),
    (LOGINS, Kind::Counter, "Logins by protocol, mechanism and result."),
    (
        DENIED,
        Kind::Counter,
        "Logins, requests and connections that access rules deny, by protocol and by what: address, name or entry.",
    ),
    (GUESSES, Kind::Counter, "Failed logins that count as guesses, by protocol."),
    (DELAYED, Kind::Counter, "Logins that had to wait because of earlier failures."),
    (
        HELD_OFF,
        Kind::Counter,
        "Logins that were refused untried, by what: source, user, known, crowd, operator, rate or sessions.",
    ),
    (GUESSING_RECORDS, Kind::Gauge, "Sources and names whose failed logins are remembered."),
    (BANS, Kind::Gauge, "Bans in force, by whose: source, user or user-at."),
    (LOGIN_TIME, Kind::Histogram, "Time from a client's login to its answer, by result."),
    (STAGE_TIME, Kind::Histogram, "Duration of the stages of a connection: tls, directory, connect, login."),
    (CONNECT_FAILURES, Kind::Counter, "Connections to hosts that failed, by host and stage."),
    (BYTES, Kind::Counter, "Bytes relayed after login, by sender."),
    (CLOSED, Kind::Counter, "Closed connections by protocol, by whom, at which stage and why."),
    (REQUESTS, Kind::Counter, "HTTP requests by version and status class; none: cut off before that."),
    (REQUEST_TIME, Kind::Histogram, "Time from the head of an HTTP request to the end of its response."),
    (REFUSED, Kind::Counter, "HTTP requests that usher refused itself, by cause."),
    (RETRIES, Kind::Counter, "HTTP requests that were sent a second time."),
    (KEPT, Kind::Gauge, "Idle connections to backends, kept for the next HTTP request."),
    (HELD, Kind::Gauge, "Logins that wait for a host that is out."),
    (FORMER, Kind::Gauge, "Processes that this one has succeeded and that still have sessions."),
    (HANDSHAKES, Kind::Counter, "TLS handshakes with clients by version and kind: full, resumed or failed."),
    (CERTIFICATE, Kind::Gauge, "When usher's own certificates expire, by file."),
    (ORDERS, Kind::Counter, "Orders of certificates, by result: ok, or the stage that failed."),
    (FAILING, Kind::Gauge, "Names whose last order of a certificate has failed."),
    (LOOKUPS, Kind::Counter, "Directory look-ups by source and result."),
    (LOOKUP_TIME, Kind::Histogram, "Duration of directory look-ups by source."),
    (STALE_ENTRIES, Kind::Counter, "Logins whose home host referred to another one that let the user in."),
    (ANSWERED, Kind::Counter, "Look-ups by other programs, by protocol and result."),
    (SOURCE_UP, Kind::Gauge, "1 while a source of the directory answers, or has not been asked."),
    (SOURCE_REMEMBERED, Kind::Gauge, "Answers of a source that is elsewhere which are remembered."),
    (STALE, Kind::Gauge, "1 while the directory cannot be read and last known answers are used."),
    (STATE, Kind::Gauge, "1 for the state that a host's or member's service is in, 0 for the others."),
    (HOLD, Kind::Gauge, "1 for each hold on a host or member: operator, agent, boot, health."),
    (LEASES, Kind::Gauge, "Sessions that use a host or member or are being set up there."),
    (HOST_LOGIN_TIME, Kind::Histogram, "Time from a host's getting the password to its answer, by host."),
    (
        HOST_REQUEST_TIME,
        Kind::Histogram,
        "Time from the head of an HTTP request to the end of its response, by host.",
    ),
    (HOST_BYTES, Kind::Counter, "Bytes of sessions and requests that are over, by host and sender."),
    (HOST_FAILURES, Kind::Counter, "What hosts broke off (broken) and answered with 5xx, by host and kind."),
    (CHECKS, Kind::Counter, "Health checks by host, service and result."),
    (CHECK_TIME, Kind::Gauge, "Duration of the last health check."),
    (HOST_CERTIFICATE, Kind::Gauge, "When the hosts' certificates expire."),
    (SUSPECTED, Kind::Gauge, "1 while most hosts time out at once and the last good state is kept."),
    (DRAIN_LEFT, Kind::Gauge, "Sessions that a drain still has to end, by host; 0 when it is done."),
    (DRAIN_BEGAN, Kind::Gauge, "Sessions that a drain began with, by host."),
    (RELOADS, Kind::Counter, "Reloads of the configuration by result."),
    (RELOADED, Kind::Gauge, "1 when the last reload was applied, 0 when it was refused."),
    (RELOADED_AT, Kind::Gauge, "When a configuration was last applied."),
    (PRESSURE, Kind::Gauge, "0 with enough memory, 1 when it is low, 2 when connections are turned away."),
    (STOPPING, Kind::Gauge, "1 while usher is stopping."),
    (BUILD, Kind::Gauge, "1, with the version as a label."),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manual_has_them_all() {
        let manual = include_str!("../../../docs/metrics.md");
        for (name, _, _) in ALL {
            assert!(manual.contains(&format!("`{name}")), "{name} is not in docs/metrics.md");
        }
    }

    /// Whatever dashboard and alerts ask for is there to be asked for.
    #[test]
    fn dashboard_and_alerts_ask_for_nothing_else() {
        let files = [
            include_str!("../../../packaging/grafana/usher.json"),
            include_str!("../../../packaging/prometheus/usher.rules.yml"),
        ];
        for text in files {
            let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
            for word in words.filter(|word| word.starts_with("usher_")) {
                let name = ["_bucket", "_count", "_sum"]
                    .iter()
                    .find_map(|suffix| word.strip_suffix(suffix))
                    .unwrap_or(word);
                assert!(ALL.iter().any(|(known, _, _)| *known == name), "{word}");
            }
        }
    }
}
