//! Interim responses (1xx) of a backend, on their way to the client.

use http::Response;

/// Passes interim responses on to a client.
pub(crate) trait Inform {
    /// Passes one on, unless that is not possible now.
    fn inform(&self, head: Response<()>);
}
