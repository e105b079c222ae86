//! Sends a request and waits for the head of its response.

use super::Manner;
use crate::https::message::body::{RequestBody, Seen};
use crate::https::message::fields;
use crate::https::message::interim::Inform;
use crate::https::record::RequestRecord;
use crate::session::{Cause as EndCause, Ended, Stage as EndStage, Urgency};
use http::{Response, StatusCode};
use std::task::Poll;
use std::time::Duration;
use tokio::time::{Instant, sleep};
use usher_backends::connect::{Cause, ConnectFault, Stage};
use usher_backends::http::{Answer, Link, SendFault};
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
    seen: &Seen,
    manner: &Manner,
    inform: &impl Inform,
) -> Result<Response<()>, Unsent> {
    let &Manner { expects, timeout, .. } = manner;
    // The codec does not report interim responses of HTTP/2.
    if !expects || link.version() == HttpVersion::Two {
        seen.want();
    }
    let due = sleep(timeout);
    tokio::pin!(due);
    let patience = async {
        match expects {
            true => sleep(CONTINUE).await,
            false => std::future::pending().await,
        }
    };
    tokio::pin!(patience);
    loop {
        tokio::select! {
            biased;
            answer = link.answer() => match answer.map_err(Unsent::Fault)? {
                Answer::Final(head) => return Ok(head),
                Answer::Interim(head) if head.status() == StatusCode::CONTINUE => {
                    if expects && !seen.is_wanted() {
                        // The client's codec does the same once the body is read.
                        seen.want();
                        inform.inform(head);
                    }
                }
                Answer::Interim(mut head) => {
                    fields::from_backend(head.headers_mut());
                    inform.inform(head);
                }
            },
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
