//! HTTPS: each request to the host that holds its user's archive, or, where it names nobody, to an array.
//!
//! A client's connection passes a validating reader before the codec of HTTP/1 sees it, and a frame limiter before that
//! of HTTP/2 ([`http1`], [`http2`]). Each of its requests goes its own way through [`request`]: validated, identified,
//! routed, sent by [`upstream`]. Nothing of one request says where the next one goes.

mod client;
mod connection;
mod http1;
mod http2;
mod lingering;
mod message;
mod pages;
mod record;
mod redirect;
mod request;
mod response;
mod server;
mod upstream;

pub(crate) use connection::{serve, serve_redirects};
pub(crate) use server::{Server, Web};
