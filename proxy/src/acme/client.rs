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
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::time::timeout;
use usher_backends::connect::tls::system_roots;

/// Longest time for one request.
const TIME: Duration = Duration::from_secs(30);
/// Largest answer in bytes: a chain has some thousands.
const SIZE: usize = 1024 * 1024;

/// How long the authority has asked to wait, in seconds, since this was last taken; 0: it has not.
#[derive(Clone, Default)]
pub(super) struct Patience(Arc<AtomicU64>);

impl Patience {
    pub(super) fn take(&self) -> Duration {
        Duration::from_secs(self.0.swap(0, Ordering::Relaxed))
    }
}

/// Sends requests.
pub(super) struct Http {
    client: Client<HttpsConnector<HttpConnector>, BodyWrapper<Bytes>>,
    patience: Patience,
}

impl Http {
    /// Trusts whom the file `ca` names or, without one, whom the system trusts.
    ///
    /// # Errors
    /// When there is nobody to trust.
    pub(super) fn new(ca: Option<&Path>, patience: Patience) -> Result<Self, String> {
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
        Ok(Self { client: Client::builder(TokioExecutor::new()).build(connector), patience })
    }
}

impl HttpClient for Http {
    fn request(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
        let (sending, patience) = (self.client.request(request), self.patience.clone());
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
                let wait =
                    response.headers().get(RETRY_AFTER).and_then(|wait| wait.to_str().ok()?.parse().ok());
                patience.0.fetch_max(wait.unwrap_or(0), Ordering::Relaxed);
            }
            Ok(response.into())
        })
    }
}
