//! What is needed to send the same request again.

use crate::https::message::body::{RequestBody, Seen};
use crate::https::upstream::rewrite;
use http::{HeaderMap, Method, Request, Uri};
use std::sync::Arc;

/// A copy of its head.
pub(super) struct Again {
    method: Method,
    uri: Uri,
    pub(super) headers: HeaderMap,
    /// It has fields that may be rewritten for a backend.
    pub(super) names_places: bool,
}

impl Again {
    pub(super) fn of(request: &Request<RequestBody>) -> Self {
        Self {
            method: request.method().clone(),
            uri: request.uri().clone(),
            headers: request.headers().clone(),
            names_places: rewrite::names_places(request.headers()),
        }
    }

    /// `None` if the body is no longer available.
    pub(super) fn request(&self, seen: &Arc<Seen>) -> Option<Request<RequestBody>> {
        let mut request = Request::new(seen.again()?);
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.uri.clone();
        request.headers_mut().clone_from(&self.headers);
        Some(request)
    }
}
