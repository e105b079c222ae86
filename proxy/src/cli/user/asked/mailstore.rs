//! What the management API of MailStore Service Provider Edition knows: instance hosts, and which tenant is on which.

use super::Access;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::Request;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;
use std::time::Duration;
use tokio::time::timeout;
use usher_backends::health::secret;
use usher_backends::roster::HostOrigin;
use usher_backends::sources::{chain, tls_config};
use usher_wire::printable::printable;
use zeroize::Zeroizing;

/// Longest time for one answer.
const TIME: Duration = Duration::from_secs(60);
/// Largest answer in bytes: that of a hundred thousand tenants.
const SIZE: usize = 256 * 1024 * 1024;

/// What it knows.
pub(super) struct Known {
    /// The names of each tenant, and its host.
    pub(super) tenants: Vec<(String, String)>,
    /// Each instance host: its name, its port, and the thumbprint of its certificate.
    pub(super) hosts: Vec<(String, u64, String)>,
}

/// Asks the management server at `url`.
///
/// # Errors
/// What is told to the operator, without the password.
pub(super) async fn ask(url: &str, access: &Access) -> Result<Known, String> {
    if !url.starts_with("https://") {
        return Err("the address of the management server begins with https://".to_owned());
    }
    let file = access.password_file.as_ref().ok_or("--password-file is missing")?;
    let password = secret::read(file, &HostOrigin::File, None).map_err(|error| error.to_string())?;
    let mut pair = Zeroizing::new(format!("{}:", access.user).into_bytes());
    pair.extend_from_slice(password.reveal());
    let basic = Zeroizing::new(format!("Basic {}", STANDARD.encode(&*pair)));
    let mut basic = HeaderValue::from_str(&basic).map_err(|error| error.to_string())?;
    basic.set_sensitive(true);
    let config = tls_config(access.ca.as_deref()).map_err(|fault| fault.to_string())?;
    let connector =
        HttpsConnectorBuilder::new().with_tls_config((*config).clone()).https_only().enable_http1().build();
    let client: Client<_, Full<Bytes>> = Client::builder(TokioExecutor::new()).build(connector);
    let invoke = async |function: &str, parameters: &'static str| -> Result<Vec<Value>, String> {
        let told = |why: String| format!("{url}: {function}: {why}");
        let request = Request::post(format!("{}/api/invoke/{function}", url.trim_end_matches('/')))
            .header(AUTHORIZATION, basic.clone())
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(Full::new(Bytes::from_static(parameters.as_bytes())))
            .map_err(|error| told(error.to_string()))?;
        let exchange = async {
            let response = client.request(request).await.map_err(|error| chain(&error))?;
            if !response.status().is_success() {
                return Err(format!("it answers {}", response.status().as_u16()));
            }
            let body = Limited::new(response.into_body(), SIZE).collect().await;
            Ok(body.map_err(|error| error.to_string())?.to_bytes())
        };
        let body = timeout(TIME, exchange).await.unwrap_or_else(|_| Err("it does not answer".to_owned()));
        result(&body.map_err(told)?).map_err(told)
    };
    let hosts = invoke("GetInstanceHosts", "serverNameFilter=").await?;
    let instances = invoke("GetInstances", "instanceFilter=*").await?;
    Ok(Known { tenants: tenants(&instances), hosts: hosts.iter().filter_map(host).collect() })
}

/// What a function returned. Answers begin with a byte order mark, or without.
fn result(body: &[u8]) -> Result<Vec<Value>, String> {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    let answer: Value = serde_json::from_slice(body).map_err(|_| "its answer is not JSON".to_owned())?;
    if let Some(message) = answer["error"]["message"].as_str() {
        return Err(printable(message).to_string());
    }
    match &answer["result"] {
        Value::Array(result) => Ok(result.clone()),
        _ => Err(format!("it is {}", printable(answer["statusCode"].as_str().unwrap_or("not a list")))),
    }
}

fn host(host: &Value) -> Option<(String, u64, String)> {
    let thumbprint = host["thumbprint"].as_str().or_else(|| host["serverCertificate"]["thumbprint"].as_str());
    let name = host["serverName"].as_str()?.to_ascii_lowercase();
    Some((name, host["port"].as_u64().unwrap_or_default(), thumbprint.unwrap_or_default().to_owned()))
}

/// Each name of each tenant, and the tenant's host.
fn tenants(instances: &[Value]) -> Vec<(String, String)> {
    let mut tenants = Vec::new();
    for instance in instances {
        let host = instance["instanceHost"].as_str().unwrap_or_default();
        let id = instance["instanceID"].as_str().unwrap_or_default();
        let alias = instance["alias"].as_str().filter(|alias| !alias.is_empty() && *alias != id);
        tenants
            .extend(std::iter::once(id).chain(alias).map(|name| (format!("tenant:{name}"), host.to_owned())));
    }
    tenants
}
