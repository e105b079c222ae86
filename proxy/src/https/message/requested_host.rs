//! The host that a request asks for in `Host` or `:authority`. Most connections ask for only one, so the last one is
//! kept with what was derived from it.

use crate::https::message::forwarding::ForwardingFields;
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
    /// All fields by which a backend is told of the client, as HTTP/1 writes them.
    pub(crate) fields: Vec<u8>,
}

/// Octets of [`RequestedHost::fields`], mostly, beside the name that is in them twice.
const FIELDS: usize = 320;

/// The last one of a connection.
#[derive(Default)]
pub(crate) struct LastRequestedHost(Mutex<Option<Arc<RequestedHost>>>);

impl LastRequestedHost {
    /// Parses `written`, as asked for by a client of whom this is `told`. `None`: it is not a valid authority.
    pub(crate) fn read(&self, written: &[u8], told: &ForwardingFields) -> Option<Arc<RequestedHost>> {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(last) = last.as_ref().filter(|last| last.host.as_bytes() == written) {
            return Some(last.clone());
        }
        let authority = Authority::parse(written)?;
        let shown = std::str::from_utf8(written).ok()?;
        let forwarded = [told.ends.as_str(), ";host=\"", shown, "\";proto=", told.proto].concat();
        let host = HeaderValue::from_bytes(written).ok()?;
        let forwarded = HeaderValue::try_from(forwarded).ok()?;
        let mut fields = Vec::with_capacity(FIELDS + 2 * written.len());
        for (name, value) in told.fields(&forwarded, &host) {
            for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
                fields.extend_from_slice(part);
            }
        }
        let name = authority.host.trim_end_matches('.').to_ascii_lowercase();
        let asked = Arc::new(RequestedHost { host, name, forwarded, fields });
        Some(last.insert(asked).clone())
    }
}
