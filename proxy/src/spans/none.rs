//! A usher that has been built without OTLP has no spans.

use super::Told;
use http::{HeaderMap, HeaderValue};
use tokio::time::Instant;
use usher_config::snapshot::Tracing;

/// There is none.
pub(crate) enum Span {}

impl Span {
    pub(crate) fn traceparent(&self) -> Option<HeaderValue> {
        match *self {}
    }

    pub(crate) fn end(self, _: &Told<'_>) {
        match self {}
    }
}

pub(crate) fn start(tracing: Option<&Tracing>) -> Result<(), String> {
    match tracing {
        Some(_) => Err("[tracing]: this usher has been built without the feature `otlp`".to_owned()),
        None => Ok(()),
    }
}

pub(crate) fn begin(_: &'static str, _: Instant, _: Option<&HeaderMap>) -> Option<Span> {
    None
}

pub(crate) fn finish() {}
