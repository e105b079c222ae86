//! Bodies of requests.

use super::error::Refusal;
use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::http::StatusCode;
use axum::response::IntoResponse;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// The body as JSON; an empty one means the same as `{}`.
pub(super) struct JsonBody<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for JsonBody<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, state: &S) -> Result<Self, Refusal> {
        let body = Bytes::from_request(request, state).await.map_err(|rejection| {
            let text = rejection.body_text();
            Refusal::new(rejection.into_response().status(), text)
        })?;
        let text = if body.is_empty() { b"{}" } else { body.as_ref() };
        // Serde would accept a list in place of any object.
        let read = serde_json::from_slice(text)
            .and_then(|object: Map<String, Value>| serde_json::from_value(Value::Object(object)));
        read.map(Self).map_err(|error| Refusal::new(StatusCode::BAD_REQUEST, format!("the body: {error}")))
    }
}
