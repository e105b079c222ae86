//! The latest changes, for people to read: the audit log has all of them.

use super::State;
use super::model::{ChangeMade, Changes as View};
use axum::Json;
use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use usher_backends::roster::now;

/// How many are kept.
const KEPT: usize = 500;

/// Those since the start of this process.
#[derive(Default)]
pub(super) struct Changes(Mutex<VecDeque<ChangeMade>>);

impl Changes {
    /// Keeps one; the oldest makes room for it.
    pub(super) fn note(&self, by: &str, from: &str, what: &str, on: &str, why: &str) {
        let [by, from, what, on, why] = [by, from, what, on, why].map(str::to_owned);
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() == KEPT {
            kept.pop_front();
        }
        kept.push_back(ChangeMade { at: now(), by, from, what, on, why });
    }
}

/// The latest changes since the start of this process, the latest first.
#[utoipa::path(get, path = "/v1/changes", operation_id = "listChanges", responses((status = 200, description = "Done.", body = View)))]
pub(super) async fn list(context: State) -> Json<View> {
    let kept = context.changes.0.lock().unwrap_or_else(PoisonError::into_inner);
    Json(View { changes: kept.iter().rev().cloned().collect() })
}
