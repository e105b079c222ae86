//! `usher pair` and `usher identity`.

use super::api::{Api, ApiError, Reach, part};
use super::table::date;
use super::{ConfigArgument, Exit, complain, print};
use clap::{Args, ValueEnum};
use hyper::Method;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde_json::json;
use std::io::{BufRead, IsTerminal, Write};
use std::path::PathBuf;
use std::time::Duration;
use usher_backends::connect::fingerprint;
use usher_backends::connect::identity::Identity;
use usher_backends::connect::pair::{Shown, inspect_certificate};
use usher_backends::state_dir;
use usher_config::snapshot::BackendTls;
use usher_wire::printable::printable;

/// Timeout of the connection.
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    reach: Reach,
    /// Where its IMAP is, such as ih1.example.com:993.
    address: String,
    /// The name of the host; by default that of its address.
    #[arg(long)]
    name: Option<String>,
    /// How TLS begins.
    #[arg(long, value_enum, default_value = "implicit")]
    tls: Tls,
    /// Compare with this pin, sha256:…, instead of asking.
    #[arg(long, value_name = "PIN")]
    fingerprint: Option<String>,
    /// Compare with this SHA-1 thumbprint, as MailStore shows it, before asking. It helps to find a certificate, but
    /// proves nothing.
    #[arg(long, value_name = "SHA1")]
    thumbprint: Option<String>,
    /// Add the pin to those of an existing host, while its certificate is being replaced.
    #[arg(long)]
    rotate: bool,
    /// The next certificate, before the server uses it.
    #[arg(long, value_name = "CERT.pem", requires = "rotate")]
    next: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Tls {
    Implicit,
    Starttls,
}

impl Tls {
    fn name(self) -> &'static str {
        match self {
            Self::Implicit => "implicit",
            Self::Starttls => "starttls",
        }
    }
}

pub(super) fn pair(arguments: &Arguments) -> Exit {
    match paired(arguments) {
        Ok(said) => print(&said),
        Err(error) => error.tell(),
    }
}

fn refused(error: impl Into<String>) -> ApiError {
    ApiError::Refused { status: hyper::StatusCode::CONFLICT, error: error.into() }
}

fn paired(arguments: &Arguments) -> Result<String, ApiError> {
    let api = arguments.reach.api()?;
    let how = match arguments.tls {
        Tls::Implicit => BackendTls::Implicit,
        Tls::Starttls => BackendTls::StartTls,
    };
    let address = &arguments.address;
    let shown = api
        .wait_for(inspect_certificate(address, how, PATIENCE))
        .map_err(|fault| ApiError::Failed(format!("{address}: {fault}")))?;
    eprintln!("{address} shows this certificate:");
    eprintln!("  subject      {}", printable(&shown.subject));
    eprintln!("  issuer       {}", printable(&shown.issuer));
    eprintln!("  expires      {}", date(shown.not_after));
    eprintln!("  thumbprint   {} (SHA-1)", shown.thumbprint);
    // Last, so that nothing written by the other side can come after it.
    eprintln!("  fingerprint  {}", shown.pin);
    let of_address = || address.rsplit_once(':').map_or(address.as_str(), |(host, _)| host).to_owned();
    let name = arguments.name.clone().unwrap_or_else(of_address);
    let shown_pin = shown.pin.to_string();
    if let Some(to_come) = to_come(arguments, &shown_pin)? {
        return rotate(&api, &name, Some(&shown_pin), to_come);
    }
    judge(arguments, &shown)?;
    register(&api, arguments, &name, shown_pin)
}

/// The pin of a certificate that is to replace the current one.
fn to_come(arguments: &Arguments, shown: &str) -> Result<Option<String>, ApiError> {
    if let Some(path) = &arguments.next {
        let read = CertificateDer::from_pem_file(path);
        let certificate = read
            .map_err(|error| ApiError::WrongUse(format!("{}: not a certificate: {error}", path.display())))?;
        return Ok(Some(fingerprint::pin(&certificate).to_string()));
    }
    let given = arguments.fingerprint.as_deref().filter(|_| arguments.rotate).map(normalised);
    Ok(given.filter(|given| given != shown))
}

/// A fingerprint in the form in which pins are written.
fn normalised(fingerprint: &str) -> String {
    let written = fingerprint.strip_prefix("sha256:").unwrap_or(fingerprint);
    let digits: String = written.chars().filter(|c| *c != ':').collect();
    format!("sha256:{}", digits.to_ascii_lowercase())
}

/// Whether it is the certificate that the operator means.
fn judge(arguments: &Arguments, shown: &Shown) -> Result<(), ApiError> {
    if let Some(thumbprint) = &arguments.thumbprint {
        let digits: String = thumbprint.chars().filter(char::is_ascii_hexdigit).collect();
        if !digits.eq_ignore_ascii_case(&shown.thumbprint) {
            return Err(refused("this certificate does not have that thumbprint; nothing was registered"));
        }
    }
    if let Some(fingerprint) = &arguments.fingerprint {
        return if normalised(fingerprint) == shown.pin.to_string() {
            Ok(())
        } else {
            Err(refused("this certificate does not have that fingerprint; nothing was registered"))
        };
    }
    if !std::io::stdin().is_terminal() {
        return Err(refused("there is nobody to ask; give --fingerprint, as read on the server itself"));
    }
    eprint!("Is this what the server itself shows? [y/N] ");
    let _ = std::io::stderr().flush();
    let mut answer = String::new();
    let _ = std::io::stdin().lock().read_line(&mut answer);
    match answer.trim().to_ascii_lowercase().as_str() {
        "y" | "yes" => Ok(()),
        _ => Err(refused("nothing was registered")),
    }
}

/// Adds `pin` to the pin in use. If the server still shows another certificate, that must be the pinned one.
fn rotate(api: &Api, name: &str, shown: Option<&str>, pin: String) -> Result<String, ApiError> {
    let known = api.backends(name)?.into_iter().find(|backend| backend.array.is_none());
    let known = known.ok_or_else(|| refused(format!("there is no host {name:?}")))?;
    // The one in use and the one to come.
    let mut pins = known.fingerprints;
    let in_use = shown.is_none_or(|shown| pins.iter().any(|pin| pin == shown || pin.starts_with("spki-")));
    if !in_use {
        return Err(refused("the server shows a certificate that is not pinned; nothing was changed"));
    }
    pins.retain(|other| *other != pin);
    // The one that the server shows now stays, or else the latest.
    pins.reverse();
    pins.sort_by_key(|other| Some(other.as_str()) != shown);
    pins.truncate(1);
    pins.push(pin);
    let path = format!("/v1/hosts/{}", part(name));
    api.change(Method::PATCH, &path, Some(&json!({ "fingerprints": pins })))?;
    Ok(format!("{name}: pins are now {}\n", pins.join(" and ")))
}

fn register(api: &Api, arguments: &Arguments, name: &str, pin: String) -> Result<String, ApiError> {
    if arguments.rotate {
        return rotate(api, name, None, pin);
    }
    let host = json!({
        "name": name,
        "imap": { "address": arguments.address, "tls": arguments.tls.name() },
        "fingerprints": [pin],
    });
    api.change(Method::POST, "/v1/hosts", Some(&host))?;
    Ok(format!("{name}: registered with this pin; to put users there: usher user set USER {name}\n"))
}

/// Shows usher's own certificate towards backends.
pub(super) fn identity(argument: &ConfigArgument) -> Exit {
    let config = match argument.load() {
        Ok(config) => config,
        Err(exit) => return exit,
    };
    let server = &config.snapshot.server;
    let socket_inside = config.snapshot.admin.socket.parent() == Some(&server.state_dir);
    let made = state_dir::prepare(&server.state_dir, socket_inside).map_err(|error| error.to_string());
    let made = made.and_then(|_| {
        let made =
            Identity::load_or_make(&server.state_dir, &server.name).map_err(|error| error.to_string())?;
        state_dir::give_to_owner(&server.state_dir).map_err(|error| error.to_string())?;
        Ok(made)
    });
    match made {
        Ok(identity) => {
            print(&format!("{}\n{}\n", identity.fingerprint(), server.state_dir.join("client.pem").display()))
        }
        Err(error) => {
            complain(&error);
            Exit::Unavailable
        }
    }
}
