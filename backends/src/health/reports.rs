//! The latest probe reports of each service, for people and metrics.

use crate::observer::Report;
use crate::roster::{BackendId, Service};
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// The reports.
#[derive(Default)]
pub(super) struct Reports(Mutex<HashMap<(BackendId, Service), Report>>);

impl Reports {
    /// Stores a report, in which what it does not know stays as it was. Returns it, and whether the capabilities have
    /// changed.
    pub(super) fn put(&self, id: &BackendId, service: Service, mut report: Report) -> (Report, bool) {
        let mut reports = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let former = reports.remove(&(id.clone(), service));
        let before = former.as_ref().and_then(|former| former.learnt.capabilities.clone());
        if let Some(former) = former {
            report.learnt = report.learnt.or(former.learnt);
        }
        let is_news = report.learnt.capabilities != before;
        reports.insert((id.clone(), service), report.clone());
        (report, is_news)
    }

    pub(super) fn get(&self, id: &BackendId, service: Service) -> Option<Report> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&(id.clone(), service)).cloned()
    }

    pub(super) fn forget(&self, id: &BackendId, service: Service) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&(id.clone(), service));
    }
}
