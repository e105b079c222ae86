//! A look-up by GET that is answered in JSON: an object with `host`, 200, or nobody, 404.

use crate::sources::engine::Answer;
use crate::sources::fault::{SourceFault, chain};
use crate::sources::names::{fill, read};
use crate::sources::{secret, tls};
use http::header::{ACCEPT, HeaderName, HeaderValue};
use http::{Request, StatusCode, Uri};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use std::borrow::Cow;
use std::time::Duration;
use tokio::time::timeout;
use usher_config::snapshot::{Http, SourceAccess};
use usher_policy::ArchiveKey;

/// Largest answer in bytes.
const CAP: usize = 64 * 1024;
/// Client errors that say nothing of a name: RFC 9110 section 15.5, RFC 6585 section 4.
const OF_USHER: [u16; 6] = [401, 403, 405, 407, 408, 429];
/// How long a connection is kept that nobody uses.
const IDLE: Duration = Duration::from_secs(30);

pub(in crate::sources) struct Json {
    access: SourceAccess,
    secret_header: Option<HeaderName>,
    deadline: Duration,
    client: Client<HttpsConnector<HttpConnector>, Empty<Bytes>>,
}

impl Json {
    pub(in crate::sources) fn new(http: &Http, deadline: Duration) -> Result<Self, SourceFault> {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(deadline));
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config((*tls::config(http.access.ca.as_deref())?).clone())
            .https_or_http()
            .enable_http1()
            .wrap_connector(tcp);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .build(connector);
        for url in &http.access.urls {
            let example = fill(url, &ArchiveKey::User("anna@example.com".to_owned()), percent);
            example.parse::<Uri>().map_err(|error| SourceFault::Out(format!("{url}: {error}")))?;
        }
        let secret_header = http.secret_header.as_ref().map(|name| name.parse()).transpose();
        let secret_header = secret_header.map_err(SourceFault::out)?;
        Ok(Self { access: http.access.clone(), secret_header, deadline, client })
    }

    pub(in crate::sources) async fn look_up(&self, key: &ArchiveKey) -> Answer {
        let mut last = Err(SourceFault::out("no address"));
        for url in &self.access.urls {
            // One that does not answer must leave time for the others.
            let share = self.deadline / self.access.urls.len().max(1) as u32;
            let late = |_| Err(SourceFault::out("it does not answer in time"));
            last = timeout(share, self.ask(url, key)).await.unwrap_or_else(late);
            if !matches!(last, Err(SourceFault::Out(_))) {
                return last;
            }
        }
        last
    }

    async fn ask(&self, url: &str, key: &ArchiveKey) -> Answer {
        let mut request = Request::get(fill(url, key, percent)).header(ACCEPT, "application/json");
        if let Some(name) = &self.secret_header
            && let Some(secret) = secret::password(&self.access).await?
        {
            let mut value = HeaderValue::from_bytes(secret.reveal())
                .map_err(|_| SourceFault::out("what is in secret_file is not the value of a header"))?;
            value.set_sensitive(true);
            request = request.header(name, value);
        }
        let request = request.body(Empty::new()).map_err(SourceFault::out)?;
        let response = self.client.request(request).await.map_err(|error| SourceFault::out(chain(&error)))?;
        match response.status() {
            StatusCode::OK => {}
            StatusCode::NOT_FOUND => return Ok(None),
            // It is this name that it does not like, and not usher.
            status if status.is_client_error() && !OF_USHER.contains(&status.as_u16()) => {
                return Err(SourceFault::answer(format!("it answers {} for {key}", status.as_u16())));
            }
            status => return Err(SourceFault::Out(format!("it answers {}", status.as_u16()))),
        }
        let body = Limited::new(response.into_body(), CAP).collect().await;
        let body = body.map_err(|error| SourceFault::Out(format!("its answer is cut off: {error}")))?;
        let Ok(Value::Object(object)) = serde_json::from_slice(&body.to_bytes()) else {
            return Err(SourceFault::out("its answer is not a JSON object"));
        };
        let mut fields = Vec::new();
        for (name, value) in object {
            match value {
                Value::Object(inner) if name == "attributes" => {
                    fields.extend(inner.into_iter().filter_map(|(name, value)| {
                        let is_own = ["host", "address", "port", "login"].contains(&name.as_str());
                        Some((name, text(value)?)).filter(|_| !is_own)
                    }));
                }
                value if ["host", "address", "port", "login"].contains(&name.as_str()) => {
                    if value.is_null() {
                        continue;
                    }
                    let Some(value) = text(value) else {
                        let what = format!("`{name}` of {key} is neither text nor a number");
                        return Err(SourceFault::answer(what));
                    };
                    fields.push((name, value));
                }
                _ => {}
            }
        }
        read(key, key, fields).map(Some)
    }
}

fn text(value: Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(is) => Some(is.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

fn percent(text: &str) -> Cow<'_, str> {
    utf8_percent_encode(text, NON_ALPHANUMERIC).into()
}
