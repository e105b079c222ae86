//! What messages are made of: fields, bodies, and what is said of them. Knows no connection and no backend.

pub(crate) mod body;
pub(crate) mod connect_protocol;
pub(crate) mod cookies;
pub(crate) mod credential;
pub(crate) mod date;
pub(crate) mod fields;
pub(crate) mod forwarding;
pub(crate) mod http_login;
pub(crate) mod interim;
pub(crate) mod named_by;
pub(crate) mod pace;
pub(crate) mod refusal;
pub(crate) mod requested_host;
pub(crate) mod scheme;
