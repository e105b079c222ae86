//! Requests to the authority: over TLS, with a deadline, and with answers of a bounded size.

use crate::tls::read_roots;
use bytes::Bytes;
use http::header::RETRY_AFTER;
use http::{Request, Response};
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use instant_acme::{BodyWrapper, BytesResponse, Error, HttpClient};
use rustls::ClientConfig;
use rustls::crypto::aws_lc_rs::default_provider;
use std::cell::Cell;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::time::timeout;
use usher_backends::connect::tls::system_roots;

/// Longest time for one request.
const TIME: Duration = Duration::from_secs(30);
/// Largest answer in bytes: a chain has some thousands.
const SIZE: usize = 1024 * 1024;

/// Longest wait that an authority may ask for.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

tokio::task_local! {
    /// How long the authority has asked to wait in the attempt that is made by this task.
    static ASKED: Cell<Duration>;
}

/// Makes an attempt, and returns how long the authority has asked to wait until another one.
pub(super) async fn noting_patience<T>(attempt: impl Future<Output = T>) -> (T, Duration) {
    ASKED.scope(Cell::default(), async { (attempt.await, ASKED.with(Cell::get)) }).await
}

/// A `Retry-After` (RFC 9110 section 10.2.3).
fn wait(written: &str) -> Option<Duration> {
    let until = || httpdate::parse_http_date(written).ok()?.duration_since(SystemTime::now()).ok();
    written.parse().ok().map(Duration::from_secs).or_else(until)
}

/// Sends requests.
pub(super) struct Http {
    client: Client<HttpsConnector<HttpConnector>, BodyWrapper<Bytes>>,
}

impl Http {
    /// Trusts whom the file `ca` names or, without one, whom the system trusts.
    ///
    /// # Errors
    /// When there is nobody to trust.
    pub(super) fn new(ca: Option<&Path>) -> Result<Self, String> {
        let roots = match ca {
            Some(file) => read_roots(file).map_err(|error| error.to_string())?,
            None => system_roots()?,
        };
        let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let connector =
            HttpsConnectorBuilder::new().with_tls_config(config).https_only().enable_http1().build();
        Ok(Self { client: Client::builder(TokioExecutor::new()).build(connector) })
    }
}

impl HttpClient for Http {
    fn request(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
        let sending = self.client.request(request);
        Box::pin(async move {
            let exchange = async {
                let response = sending.await.map_err(|error| Error::Other(Box::new(error)))?;
                let (parts, body) = response.into_parts();
                let body = Limited::new(body, SIZE).collect().await.map_err(Error::Other)?.to_bytes();
                Ok::<_, Error>(Response::from_parts(parts, Full::new(body)))
            };
            let response = timeout(TIME, exchange)
                .await
                .unwrap_or_else(|_| Err(Error::Other("the authority does not answer".into())))?;
            // Not where it only says how soon to ask for a state again.
            if !response.status().is_success() {
                let asked = response.headers().get(RETRY_AFTER).and_then(|asked| wait(asked.to_str().ok()?));
                let _ = ASKED.try_with(|longest| {
                    longest.set(longest.get().max(asked.unwrap_or_default().min(LONGEST)))
                });
            }
            Ok(response.into())
        })
    }
}
