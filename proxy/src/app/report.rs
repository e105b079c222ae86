//! Logs and counts what happens with backends.

use crate::metrics::Metrics;
use std::sync::Arc;
use std::time::Duration;
use usher_backends::Observer;
use usher_backends::connect::{Cause, ConnectFault};
use usher_backends::health::Report;
use usher_backends::roster::{AgentWord, BackendId, Service};

/// Hears of backends.
pub(crate) struct Reporter(pub(crate) Arc<Metrics>);

impl Observer for Reporter {
    fn connected(&self, host: &str, took: Duration) {
        self.0.connected(host, took);
    }

    fn connect_failed(&self, host: &str, fault: &ConnectFault) {
        let (stage, cause) = (fault.stage.name(), &fault.cause);
        if matches!(cause, Cause::Full) {
            // What the operator has configured, and not a failure of the host.
            tracing::warn!(host, stage, %cause, "instance host full");
            return;
        }
        self.0.connect_failed(host, stage);
        match cause {
            Cause::Pin => tracing::error!(host, stage, %cause, security = true, "instance host refused"),
            _ => tracing::warn!(host, stage, %cause, "instance host failed"),
        }
    }

    fn pinned_certificate_ends(&self, host: &str, not_after: i64, expired: bool) {
        match expired {
            true => tracing::warn!(host, not_after, "the instance host's pinned certificate has expired"),
            false => tracing::warn!(
                host,
                not_after,
                "the instance host's pinned certificate expires soon; add the pin of its successor"
            ),
        }
    }

    fn added_host_unusable(&self, host: &str, why: &str) {
        tracing::error!(
            host,
            why,
            "the definition of a host that was added at run time cannot be read; add the host again"
        );
    }

    fn probed(&self, id: &BackendId, service: Service, report: &Report) {
        self.0.checked(&id.name, service.name(), report.fault.is_none());
        if let Some(fault) = &report.fault {
            tracing::debug!(host = %id, service = service.name(), fault, "health check failed");
        }
    }

    fn health_turned(&self, id: &BackendId, service: Service, why: Option<&str>) {
        let service = service.name();
        match why {
            Some(why) => tracing::error!(host = %id, service, why, "out of service"),
            None => tracing::warn!(host = %id, service, "back in service"),
        }
    }

    fn checker_suspected(&self, suspected: bool) {
        match suspected {
            true => tracing::error!(
                "most hosts time out at once: suspecting this machine's network, keeping the last good state"
            ),
            false => tracing::warn!("most hosts answer again: health checks are trusted again"),
        }
    }

    fn agent_said(&self, id: &BackendId, word: AgentWord) {
        let hold = word.hold().unwrap_or("none");
        tracing::warn!(host = %id, hold, percent = word.percent, "the agent reports a new state");
    }
}
