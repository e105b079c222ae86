//! HTTPS: each request to the host that holds its user's archive, or, where it names nobody, to an array.
//!
//! What a client sends is read once, by a strict reader ([`http1`], [`http2`]). Each request goes its own way through [`request`]: it is validated, identified,
//! routed, and sent by [`upstream`]. Nothing in one request decides where the next one goes.

mod client;
mod connection;
mod http1;
mod http2;
mod lingering;
mod login;
mod message;
mod pages;
mod record;
mod redirect;
mod request;
mod response;
mod scratch;
mod server;
mod switched;
mod upstream;

pub(crate) use connection::{serve, serve_redirects};
pub(crate) use server::{Server, Web};
