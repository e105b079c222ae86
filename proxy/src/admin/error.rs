//! The API's answers to requests that it does not carry out.

use crate::moves::MoveError;
use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use usher_backends::directory::DirectoryError;
use usher_backends::roster::{AddedHostFault, FleetError};
use usher_backends::store::StoreError;
use utoipa::ToSchema;

/// An error message for people.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct Problem {
    /// What is wrong.
    pub(crate) error: String,
}

/// A refusal.
#[derive(Debug)]
pub(crate) struct Refusal {
    status: StatusCode,
    error: String,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, error: impl Into<String>) -> Self {
        Self { status, error: error.into() }
    }

    pub(super) fn bad(error: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, error)
    }

    pub(super) fn unknown(error: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, error)
    }

    pub(super) fn conflict(error: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, error)
    }

    /// Something inside did not finish.
    pub(super) fn internal(error: &dyn std::fmt::Display) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string())
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.status, Json(Problem { error: self.error })).into_response()
    }
}

impl From<FleetError> for Refusal {
    fn from(error: FleetError) -> Self {
        let status = match &error {
            FleetError::Unknown(_) => StatusCode::NOT_FOUND,
            FleetError::InFile(_) | FleetError::Exists(_) => StatusCode::CONFLICT,
            FleetError::Definition(AddedHostFault::Unreadable(_)) => StatusCode::BAD_REQUEST,
            FleetError::Store(StoreError::Full) => StatusCode::INSUFFICIENT_STORAGE,
            FleetError::Store(_) | FleetError::Definition(_) | FleetError::Tls(_) => {
                StatusCode::INTERNAL_SERVER_ERROR
            }
        };
        Self::new(status, error.to_string())
    }
}

impl From<DirectoryError> for Refusal {
    fn from(error: DirectoryError) -> Self {
        let status = match &error {
            full if full.is_disk_full() => StatusCode::INSUFFICIENT_STORAGE,
            DirectoryError::ReadOnly => StatusCode::CONFLICT,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self::new(status, format!("the directory: {error}"))
    }
}

impl From<MoveError> for Refusal {
    fn from(error: MoveError) -> Self {
        match error {
            MoveError::Directory(error) => error.into(),
            MoveError::Fleet(error) => error.into(),
            MoveError::Unsettled { .. } => Self::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string()),
            MoveError::Nowhere(_) | MoveError::NoHost(_) | MoveError::NotMoving(_) => {
                Self::unknown(error.to_string())
            }
            _ => Self::conflict(error.to_string()),
        }
    }
}

/// Any path that does not exist.
pub(super) async fn no_such_page() -> Refusal {
    Refusal::unknown("there is no such page; see /openapi.json for those that exist")
}
