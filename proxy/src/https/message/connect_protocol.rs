//! The protocol that an extended CONNECT asks for (RFC 8441 section 4).

use bytes::Bytes;

/// What `:protocol` says; an extension of the request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ConnectProtocol(pub(crate) Bytes);
