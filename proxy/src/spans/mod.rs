//! Spans of logins and requests, for OpenTelemetry: sent to a collector by OTLP, if one is configured.

#[cfg(not(feature = "otlp"))]
mod none;
#[cfg(feature = "otlp")]
mod otlp;

#[cfg(not(feature = "otlp"))]
pub(crate) use none::{Span, begin, finish, start};
#[cfg(feature = "otlp")]
pub(crate) use otlp::{Span, begin, finish, start};

use http::HeaderName;

/// Whose part a request is (W3C Trace Context).
pub(crate) const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// What a span says of a login or a request. Never who the user is, and no path, which may name them: the log says that, by
/// the session's id.
#[derive(Clone, Copy)]
#[cfg_attr(not(feature = "otlp"), expect(dead_code))] // nobody is told then
pub(crate) struct Told<'t> {
    /// The id in the log.
    pub(crate) session: &'t dyn std::fmt::Display,
    /// Where it went.
    pub(crate) host: &'t str,
    /// How it ended, a word of a closed set.
    pub(crate) result: &'static str,
    /// The status of the response; `None`: it is not HTTP, or there was none.
    pub(crate) status: Option<u16>,
    /// The method, for HTTP.
    pub(crate) method: Option<&'t str>,
}
