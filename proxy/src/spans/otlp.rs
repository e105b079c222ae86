//! Spans by OTLP over HTTP, in batches from a thread of their own: a collector that does not answer costs spans, and
//! nobody waits for it.

use super::{TRACEPARENT, Told};
use crate::version::VERSION;
use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use opentelemetry::trace::{
    SpanContext, SpanId, SpanKind, Status, TraceContextExt, TraceFlags, TraceId, TraceState, Tracer,
    TracerProvider,
};
use opentelemetry::{Context, KeyValue};
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{Sampler, SdkTracer, SdkTracerProvider};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::{ClientConfig, RootCertStore};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, SystemTime};
use tokio::runtime::Handle;
use tokio::time::Instant;
use usher_backends::connect::tls::system_roots;
use usher_config::snapshot::Tracing;

/// Longest time for one request to the collector.
const TIME: Duration = Duration::from_secs(10);
/// Longest time for what is left at the end: whoever starts usher again waits for it.
const SOON: Duration = Duration::from_secs(1);
/// Shortest time between two complaints of the collector.
const QUIET: Duration = Duration::from_secs(60);
/// Largest answer of a collector, in bytes.
const SIZE: usize = 64 * 1024;

struct Exporting {
    tracer: SdkTracer,
    provider: SdkTracerProvider,
}

static EXPORTING: OnceLock<Exporting> = OnceLock::new();

/// A span that is under way.
pub(crate) struct Span(opentelemetry_sdk::trace::Span);

/// Begins to export, if that is configured. To be called in the runtime that sends.
///
/// # Errors
/// Why it cannot.
pub(crate) fn start(tracing: Option<&Tracing>) -> Result<(), String> {
    let Some(tracing) = tracing else { return Ok(()) };
    let exporter = SpanExporter::builder()
        .with_http()
        .with_http_client(Sender::new(tracing.otlp.starts_with("https://"))?)
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(format!("{}/v1/traces", tracing.otlp.trim_end_matches('/')))
        .with_timeout(TIME)
        .build()
        .map_err(|error| format!("[tracing]: {error}"))?;
    let resource = Resource::builder().with_service_name("usher");
    let resource = resource.with_attribute(KeyValue::new("service.version", VERSION)).build();
    let share = Sampler::TraceIdRatioBased(f64::from(tracing.percent) / 100.0);
    let provider = SdkTracerProvider::builder()
        .with_batch_exporter(exporter)
        // Whoever has begun a trace has decided.
        .with_sampler(Sampler::ParentBased(Box::new(share)))
        .with_resource(resource)
        .build();
    let tracer = provider.tracer("usher");
    let _ = EXPORTING.set(Exporting { tracer, provider });
    Ok(())
}

/// Begins a span; `None`: nothing is exported. It is part of what `headers` name as its parent: those of somebody who is
/// trusted, as anybody could have everything exported by that.
pub(crate) fn begin(name: &'static str, since: Instant, headers: Option<&HeaderMap>) -> Option<Span> {
    let exporting = EXPORTING.get()?;
    let since = SystemTime::now() - since.elapsed();
    let parent = headers.and_then(|headers| parent(headers.get(TRACEPARENT)?));
    let context = parent.map_or_else(Context::new, |parent| Context::new().with_remote_span_context(parent));
    let builder = exporting.tracer.span_builder(name).with_kind(SpanKind::Server).with_start_time(since);
    Some(Span(exporting.tracer.build_with_context(builder, &context)))
}

/// Sends what has not been sent yet.
pub(crate) fn finish() {
    if let Some(exporting) = EXPORTING.get() {
        let _ = exporting.provider.shutdown_with_timeout(SOON);
    }
}

/// The parent that a `traceparent` names: `00-TRACE-SPAN-FLAGS`.
fn parent(value: &HeaderValue) -> Option<SpanContext> {
    let mut parts = value.to_str().ok()?.trim().split('-');
    let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let is_hex = |text: &str, length: usize| {
        text.len() == length && text.bytes().all(|octet| matches!(octet, b'0'..=b'9' | b'a'..=b'f'))
    };
    let is_known =
        version == "00" && parts.next().is_none() || is_hex(version, 2) && version > "00" && version < "ff";
    if !(is_known && is_hex(trace, 32) && is_hex(span, 16) && is_hex(flags, 2)) {
        return None;
    }
    let flags = TraceFlags::new(u8::from_str_radix(flags, 16).ok()?) & TraceFlags::SAMPLED;
    let (trace, span) = (TraceId::from_hex(trace).ok()?, SpanId::from_hex(span).ok()?);
    let parent = SpanContext::new(trace, span, flags, true, TraceState::NONE);
    parent.is_valid().then_some(parent)
}

impl Span {
    /// What the backend is told: it is part of this span.
    pub(crate) fn traceparent(&self) -> Option<HeaderValue> {
        use opentelemetry::trace::Span;
        let context = self.0.span_context();
        let flags = context.trace_flags().to_u8();
        let text = format!("00-{}-{}-{flags:02x}", context.trace_id(), context.span_id());
        HeaderValue::from_str(&text).ok()
    }

    /// Ends it, and says what it was.
    pub(crate) fn end(mut self, told: &Told<'_>) {
        use opentelemetry::trace::Span;
        if !self.0.is_recording() {
            return;
        }
        self.0.set_attribute(KeyValue::new("usher.session", told.session.to_string()));
        self.0.set_attribute(KeyValue::new("usher.host", told.host.to_owned()));
        self.0.set_attribute(KeyValue::new("usher.result", told.result));
        if let Some(status) = told.status {
            self.0.set_attribute(KeyValue::new("http.response.status_code", i64::from(status)));
            if status >= 500 {
                self.0.set_status(Status::error(""));
            }
        }
        if let Some(method) = told.method {
            self.0.set_attribute(KeyValue::new("http.request.method", method.to_owned()));
        }
        self.0.end();
    }
}

/// Sends to the collector, in the runtime of usher.
#[derive(Debug)]
struct Sender {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    runtime: Handle,
    /// When that was said last.
    complained: Mutex<Option<Instant>>,
}

impl Sender {
    fn new(is_secure: bool) -> Result<Self, String> {
        let roots = if is_secure { system_roots()? } else { RootCertStore::empty() };
        let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let connector = HttpsConnectorBuilder::new().with_tls_config(config).https_or_http().enable_http1();
        let client = Client::builder(TokioExecutor::new()).build(connector.build());
        Ok(Self { client, runtime: Handle::current(), complained: Mutex::default() })
    }

    /// Says that spans are lost, but not each time.
    fn complain(&self, why: &dyn std::fmt::Display) {
        let mut complained = self.complained.lock().unwrap_or_else(PoisonError::into_inner);
        if complained.is_none_or(|last| last.elapsed() >= QUIET) {
            *complained = Some(Instant::now());
            tracing::warn!(error = %why, "the collector does not take spans; they are lost");
        }
    }
}

#[async_trait]
impl HttpClient for Sender {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let sending = self.client.request(request.map(Full::new));
        let exchange = async {
            let (parts, body) = sending.await?.into_parts();
            let body = Limited::new(body, SIZE).collect().await?.to_bytes();
            Ok::<_, HttpError>(Response::from_parts(parts, body))
        };
        // The thread that asks has no runtime.
        let answered = self.runtime.spawn(async move { tokio::time::timeout(TIME, exchange).await }).await;
        let answered = answered.map_err(HttpError::from).and_then(|answered| answered?);
        match &answered {
            Ok(answer) if !answer.status().is_success() => self.complain(&answer.status()),
            Ok(_) => {}
            Err(error) => self.complain(error),
        }
        answered
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parent_is_what_is_well_formed() {
        const GOOD: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let read = |text: &str| parent(&HeaderValue::from_str(text).unwrap());
        let context = read(GOOD).unwrap();
        assert_eq!(context.trace_id().to_string(), "0af7651916cd43dd8448eb211c80319c");
        assert!(context.is_sampled() && context.is_remote());
        assert!(!read(&GOOD.replace("-01", "-00")).unwrap().is_sampled());
        assert!(read(&GOOD.replacen("00", "01", 1)).is_some(), "a later version begins in the same way");
        for bad in [
            "",
            "00",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-x",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b716920333-01",
        ] {
            assert!(read(bad).is_none(), "{bad}");
        }
    }
}
