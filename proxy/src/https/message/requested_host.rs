//! The host that a request asks for in `Host` or `:authority`. Most connections ask for only one, so the last one is
//! kept with what was derived from it.

use http::HeaderValue;
use std::sync::{Arc, Mutex, PoisonError};
use usher_wire::http::authority::Authority;

/// A name that is asked for.
#[derive(Debug)]
pub(crate) struct RequestedHost {
    /// As it was written.
    pub(crate) host: HeaderValue,
    /// In lower case, without a port.
    pub(crate) name: String,
    /// The element of `Forwarded` (RFC 7239) that names it to a backend.
    pub(crate) forwarded: HeaderValue,
}

/// The last one of a connection.
#[derive(Default)]
pub(crate) struct LastRequestedHost(Mutex<Option<Arc<RequestedHost>>>);

impl LastRequestedHost {
    /// Parses `written`. `ends` says who is asking whom, as in `Forwarded`, and `proto` by which scheme. `None`: it is
    /// not a valid authority.
    pub(crate) fn read(&self, written: &[u8], ends: &str, proto: &str) -> Option<Arc<RequestedHost>> {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(last) = last.as_ref().filter(|last| last.host.as_bytes() == written) {
            return Some(last.clone());
        }
        let authority = Authority::parse(written)?;
        let shown = std::str::from_utf8(written).ok()?;
        let asked = Arc::new(RequestedHost {
            host: HeaderValue::from_bytes(written).ok()?,
            name: authority.host.trim_end_matches('.').to_ascii_lowercase(),
            forwarded: HeaderValue::try_from([ends, ";host=\"", shown, "\";proto=", proto].concat()).ok()?,
        });
        Some(last.insert(asked).clone())
    }
}
