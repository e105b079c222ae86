//! HTTPS: each request to the host that holds its user's archive, or, where it names nobody, to an array.
//!
//! A client's connection passes a guard before the codec sees it ([`guarded`] for HTTP/1, [`counted`] for
//! HTTP/2); each of its requests goes its own way through [`exchange`]: validate, identify, look up, lease,
//! forward. Nothing of one request says where the next one goes.

mod answer;
mod asked;
mod body;
mod client;
mod closing;
mod connection;
mod cookies;
mod counted;
mod cross_site;
mod date;
mod exchange;
mod fields;
mod form;
mod forward;
mod guarded;
mod identify;
mod idlers;
mod interim;
mod json;
mod one;
mod pace;
mod pages;
mod redirect;
mod response;
mod retry;
mod rewrite;
mod scheme;
mod setup;
mod ticket;
mod tunnel;
mod two;
mod two_stream;
mod validate;
mod wire;

pub(crate) use body::RequestBody;
pub(crate) use connection::{serve, serve_redirects};
pub(crate) use cookies::Cookies;
pub(crate) use idlers::Idlers;
pub(crate) use retry::RetryBudget;
