//! HTTP/1.1 with a client: the codec behind its validating reader.

mod pipeline;
mod turned;
mod validating;

pub(super) use pipeline::{Pipeline, Refused, Turn};
pub(super) use validating::ValidatingReader;

use crate::https::client::Client;
use crate::https::message::body::Source;
use crate::https::message::interim::Inform;
use crate::https::message::refusal::Refusal;
use crate::https::pages::answer::{self, Form};
use crate::https::request::{Outcome, exchange};
use crate::https::response::BrokenOff;
use crate::tls::ClientStream;
use http::header::CONNECTION;
use http::{HeaderValue, Request, Response, StatusCode, Version};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::fmt::Write;
use std::sync::Arc;
use turned::Turned;
use usher_wire::http1::{Fault, Scheme};

/// Most bytes of a message that the codec buffers.
const BUFFER: usize = 64 * 1024;
/// Most bytes that are read beyond a head.
const READ_AHEAD: usize = 16 * 1024;

/// Serves requests until the connection ends.
pub(crate) async fn serve(client: Arc<Client>, stream: ClientStream) {
    let pipeline = Pipeline::default();
    let at = client.listening();
    let limits = &at.active.snapshot.limits;
    let caps = limits.request_caps();
    let io = TokioIo::new(ValidatingReader::new(stream, pipeline.clone(), limits, Scheme::Https));
    // A long-lived connection must not keep a configuration alive.
    drop(at);
    let (server, noted) = (client.server.clone(), client.clone());
    let service = service_fn(move |request| answer(client.clone(), pipeline.begin(), request));
    let connection = http1::Builder::new()
        .header_read_timeout(None)
        .max_headers(caps.fields + 1)
        .max_header_size(caps.head)
        .max_buf_size(BUFFER.max(caps.head + READ_AHEAD))
        .serve_connection(io, service)
        .with_upgrades();
    tokio::pin!(connection);
    tokio::select! {
        ended = connection.as_mut() => return note_end(&noted, ended),
        () = server.shutdown.stopped() => connection.as_mut().graceful_shutdown(),
    }
    note_end(&noted, connection.await);
}

fn note_end(client: &Client, ended: Result<(), hyper::Error>) {
    if ended.is_err_and(|error| error.is_parse()) {
        client.note_refused_by_codec();
    }
}

impl Inform for Turn {
    fn inform(&self, head: Response<()>) {
        // The codec sends this one by itself.
        if head.status() == StatusCode::CONTINUE {
            return;
        }
        let mut text = format!(
            "HTTP/1.1 {} {}\r\n",
            head.status().as_u16(),
            head.status().canonical_reason().unwrap_or_default()
        )
        .into_bytes();
        for (name, value) in head.headers().iter().filter(|(name, _)| *name != CONNECTION) {
            let mut line = String::new();
            let _ = write!(line, "{name}: ");
            text.extend_from_slice(line.as_bytes());
            text.extend_from_slice(value.as_bytes());
            text.extend_from_slice(b"\r\n");
        }
        text.extend_from_slice(b"\r\n");
        Turn::inform(self, &text);
    }
}

async fn answer(
    client: Arc<Client>,
    mut turn: Turn,
    mut request: Request<Incoming>,
) -> Result<Response<Turned>, BrokenOff> {
    let refused = turn.refused().map(refusal);
    if request.version() == Version::HTTP_10 {
        // It would mistake an interim response for the final one (RFC 9110 section 15.2).
        turn.mute();
    }
    let upgrade = hyper::upgrade::on(&mut request);
    let (parts, body) = request.into_parts();
    let form = Form::accepted(&parts.headers);
    let outcome = exchange(&client, parts, Source::One(body), refused, form, &turn).await;
    match outcome {
        Outcome::Response(mut response) => {
            turn.switch(false);
            // A body that was refused while it was being sent to a backend is answered for that, whatever the backend
            // has made of its beginning.
            if let Some(refusal) = turn.refused().map(refusal).filter(|_| refused.is_none()) {
                let id = client.server.ids.next().to_string();
                response = answer::refused(refusal, form, &id, client.name());
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            response.body().patience().inspect(|patience| turn.allow(*patience));
            Ok(response.map(|body| Turned::new(body, turn)))
        }
        Outcome::Tunnel(response, tunnel) => {
            turn.switch(true);
            client.server.workers.session(async move {
                match upgrade.await {
                    Ok(client) => tunnel.run(TokioIo::new(client)).await,
                    Err(_) => tunnel.give_up(),
                }
            });
            Ok(response.map(|body| Turned::new(body, turn)))
        }
        // Only for HTTP/2.
        Outcome::Reset(_) | Outcome::Cut => Err(BrokenOff { is_malformed: false }),
    }
}

fn refusal(refused: Refused) -> Refusal {
    match refused {
        Refused::Slow => Refusal::new(StatusCode::REQUEST_TIMEOUT, "head-too-slow"),
        Refused::Fault(fault) => Refusal::new(status(fault), fault.name()),
    }
}

fn status(fault: Fault) -> StatusCode {
    StatusCode::from_u16(fault.status()).unwrap_or(StatusCode::BAD_REQUEST)
}
