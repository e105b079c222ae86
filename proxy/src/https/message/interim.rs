//! Interim responses (1xx) of a backend, on their way to the client.

use crate::https::message::fields;
use atomic_waker::AtomicWaker;
use http::Response;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;

/// Those that have not been passed on yet.
#[derive(Clone, Default)]
pub(crate) struct Interim(Arc<Inner>);

#[derive(Default)]
struct Inner {
    queue: Mutex<VecDeque<Response<()>>>,
    waker: AtomicWaker,
}

impl Interim {
    /// Makes the codec report those that answer `request`.
    pub(crate) fn listen<B>(&self, request: &mut http::Request<B>) {
        let interim = self.0.clone();
        hyper::ext::on_informational(request, move |response| {
            let mut head = Response::new(());
            *head.status_mut() = response.status();
            head.headers_mut().clone_from(response.headers());
            fields::from_backend(head.headers_mut());
            interim.queue.lock().unwrap_or_else(PoisonError::into_inner).push_back(head);
            interim.waker.wake();
        });
    }

    /// All of them.
    pub(crate) fn take(&self) -> VecDeque<Response<()>> {
        std::mem::take(&mut self.0.queue.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The next one.
    pub(crate) async fn next(&self) -> Response<()> {
        std::future::poll_fn(|cx| {
            self.0.waker.register(cx.waker());
            match self.0.queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front() {
                Some(head) => Poll::Ready(head),
                None => Poll::Pending,
            }
        })
        .await
    }
}

/// Passes interim responses on to a client.
pub(crate) trait Inform {
    /// Passes one on, unless that is not possible now.
    fn inform(&self, head: Response<()>);
}
