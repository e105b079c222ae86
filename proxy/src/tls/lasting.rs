//! What outlasts configurations.

use super::{Acquired, Tickets};
use std::sync::Arc;

/// What each configuration of TLS is made with.
#[derive(Clone)]
pub(crate) struct Lasting {
    /// Under which sessions are resumed.
    pub(crate) tickets: Arc<Tickets>,
    /// What usher has ordered itself.
    pub(crate) acquired: Arc<Acquired>,
}

impl Lasting {
    /// With `tickets` and nothing that was ordered.
    pub(crate) fn new(tickets: Tickets) -> Self {
        Self { tickets: Arc::new(tickets), acquired: Arc::default() }
    }
}
