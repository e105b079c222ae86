//! Sends a request and waits for the head of its response.

use super::Manner;
use crate::https::message::body::{RequestBody, Seen};
use crate::https::message::interim::{Inform, Interim};
use crate::https::record::RequestRecord;
use crate::session::{Cause as EndCause, Ended, Stage as EndStage, Urgency};
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use std::task::Poll;
use std::time::Duration;
use tokio::time::{Instant, sleep};
use usher_backends::connect::{Cause, ConnectFault, Stage};
use usher_backends::http::{Link, SendFault};
use usher_config::snapshot::HttpVersion;

/// Time for a backend to say whether it wants a body.
const CONTINUE: Duration = Duration::from_secs(1);

/// Why there is no response.
pub(super) enum Unsent {
    Fault(SendFault<RequestBody>),
    /// The request is to end at once.
    Ended(Ended),
}

/// Sends the request and waits for the head of the response, passing interim ones on.
pub(super) async fn send(
    record: &RequestRecord,
    link: &mut Link<RequestBody>,
    mut request: Box<Request<RequestBody>>,
    seen: &Seen,
    manner: &Manner,
    inform: &impl Inform,
) -> Result<Response<Incoming>, Unsent> {
    let &Manner { expects, timeout, .. } = manner;
    let interim = Interim::default();
    interim.listen(&mut request);
    // The codec does not report interim responses of HTTP/2.
    if !expects || link.version() == HttpVersion::Two {
        seen.want();
    }
    let sending = link.send(request);
    tokio::pin!(sending);
    let due = sleep(timeout);
    tokio::pin!(due);
    let patience = async {
        match expects {
            true => sleep(CONTINUE).await,
            false => std::future::pending().await,
        }
    };
    tokio::pin!(patience);
    let pass_on = |head: Response<()>| {
        if head.status() != StatusCode::CONTINUE {
            inform.inform(head);
        } else if expects && !seen.is_wanted() {
            // The client's codec does the same once the body is read.
            seen.want();
            inform.inform(head);
        }
    };
    loop {
        tokio::select! {
            biased;
            sent = &mut sending => {
                // Those that arrived together with it.
                interim.take().into_iter().for_each(pass_on);
                return sent.map_err(Unsent::Fault);
            }
            head = interim.next() => pass_on(head),
            () = &mut patience, if expects && !seen.is_wanted() => seen.want(),
            ended = ended(record) => return Err(Unsent::Ended(ended)),
            () = &mut due => {
                // Counted from the last byte of the request: until then the backend is busy.
                let until = seen.last_octet() + timeout;
                if until <= Instant::now() {
                    let fault = ConnectFault { stage: Stage::Response, cause: Cause::TimedOut };
                    return Err(Unsent::Fault(SendFault { fault, is_refused: false, unsent: None }));
                }
                due.as_mut().reset(until);
            }
        }
    }
}
/// Returns when the request is to end at once.
async fn ended(record: &RequestRecord) -> Ended {
    std::future::poll_fn(|cx| {
        let Some(session) = &record.session else { return Poll::Pending };
        let Some(order) = session.order(cx.waker()).filter(|order| order.urgency == Urgency::End) else {
            return Poll::Pending;
        };
        let (by, cause) = EndCause::ordered(order.why);
        Poll::Ready(Ended::new(by, EndStage::Login, cause))
    })
    .await
}
