//! The `Date` of responses (RFC 9110 section 6.6.1), formatted once per second.

use http::HeaderValue;
use std::cell::RefCell;
use std::time::{SystemTime, UNIX_EPOCH};

thread_local! {
    static LAST: RefCell<(u64, HeaderValue)> = const { RefCell::new((0, HeaderValue::from_static(""))) };
}

/// The date now.
pub(crate) fn now() -> HeaderValue {
    let now = SystemTime::now();
    let second = now.duration_since(UNIX_EPOCH).map_or(0, |passed| passed.as_secs());
    LAST.with_borrow_mut(|last| {
        if last.0 != second
            && let Ok(date) = HeaderValue::try_from(httpdate::fmt_http_date(now))
        {
            *last = (second, date);
        }
        last.1.clone()
    })
}
