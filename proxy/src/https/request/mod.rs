//! One request, from its head to the head of its response. Each stage consumes the previous one: validated, opened,
//! identified, routed, sent, answered.

mod answer;
mod credentials;
mod cross_site;
mod form;
mod identify;
mod opened;
mod own_cookies;
mod pairs;
mod route;
mod send;
#[cfg(test)]
mod tests;
mod validate;

use self::send::Sent;
use self::validate::{Invalid, validate};
use super::client::Client;
use super::message::body::Source;
use super::message::interim::Inform;
use super::message::pace::Patience;
use super::message::refusal::Refusal;
use super::pages;
use super::pages::answer::Form;
use super::record::RequestRecord;
use super::response::ResponseBody;
use super::upstream::Unreached;
use super::upstream::tunnel::Tunnel;
use crate::active::ListenerContext;
use crate::boxed::boxed;
use http::request::Parts;
use http::{Response, StatusCode};
use std::sync::Arc;
use tokio::time::Instant;
use usher_wire::http2::ErrorCode;

/// What becomes of a request.
pub(crate) enum Outcome {
    Response(Response<ResponseBody>),
    /// The backend has switched protocols.
    Tunnel(Response<ResponseBody>, Box<Tunnel>),
    /// An HTTP/2 stream that is reset because it cannot be answered.
    Reset(ErrorCode),
    /// It is cut off.
    Cut,
}

/// The result of the stages before the answer.
enum Served {
    Own(Response<ResponseBody>),
    Sent(Box<Sent>),
    Reset(ErrorCode),
}

/// Serves a request whose head had come at `arrived`. `refused` says why it is refused, if that is known already; refusals are answered in this `form`.
pub(crate) async fn exchange(
    client: &Arc<Client>,
    arrived: Instant,
    parts: Parts,
    source: Source,
    refused: Option<Refusal>,
    form: Form,
    inform: &impl Inform,
) -> Outcome {
    let at = client.listening();
    let version = parts.version;
    // The stand-in for a refused request belongs to nobody.
    let path = if refused.is_some() { "" } else { parts.uri.path() };
    let patience = Patience::of(&at.active.snapshot.limits, None);
    let mut record = RequestRecord::new(client, arrived, version, parts.method.clone(), path, patience);
    let served = match refused {
        Some(refusal) => Err(refusal.into()),
        // Allocated on the heap as a whole, so that it is not moved along with the stream that it serves.
        None => boxed(|| serve(&mut record, &at, parts, source, inform)).await,
    };
    // A client that breaks off its body leaves; for others, the host has not judged them, or they have been counted.
    if served.is_err() && record.seen.as_ref().is_none_or(|seen| seen.fault().is_none()) {
        record.unjudged();
    }
    match served {
        Ok(Served::Own(response)) => answer::own(record, &at, version, response),
        Ok(Served::Sent(sent)) => sent.answer(record, &at, version).await,
        Ok(Served::Reset(reason)) => Outcome::Reset(reason),
        Err(Unreached::Refused(why)) => answer::refusal(record, &at, version, why, form),
        Err(Unreached::Ended(ended)) => {
            record.end(ended);
            Outcome::Cut
        }
    }
}

/// Takes a request from stage to stage.
async fn serve(
    record: &mut RequestRecord,
    at: &ListenerContext,
    parts: Parts,
    source: Source,
    inform: &impl Inform,
) -> Result<Served, Unreached> {
    let client = record.client.clone();
    client.server.guessing.refuse_address(client.ends.client.ip()).map_err(Refusal::held_off)?;
    let validated = match validate(parts, &client, at) {
        Ok(validated) => validated,
        Err(Invalid::Refused(refusal)) => return Err(refusal.into()),
        Err(Invalid::Malformed(cause)) => {
            record.refused(Refusal::new(StatusCode::BAD_REQUEST, cause));
            return Ok(Served::Reset(ErrorCode::PROTOCOL_ERROR));
        }
    };
    let mut opened = validated.open(record, at, source)?;
    // A client that asks for a tunnel would take a page for one.
    if !opened.connects {
        let what = (&*opened.validated.path, &*opened.validated.asked);
        let page = pages::page(&client, at, what, &opened.validated.parts, &mut opened.body).await;
        if let Some(page) = page.map_err(Refusal::from)? {
            return Ok(Served::Own(page));
        }
    }
    let Some(identified) = opened.identify(record, at).await? else {
        return Ok(Served::Reset(ErrorCode::HTTP_1_1_REQUIRED));
    };
    let routed = identified.route(record, at).await?;
    Ok(Served::Sent(routed.send(record, at, inform).await?))
}
