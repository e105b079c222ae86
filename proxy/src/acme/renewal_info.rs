//! When the authority wants a certificate to be replaced (RFC 9773).

use crate::tls::Loaded;
use instant_acme::{Account, CertificateIdentifier, Error};
use rustls::pki_types::Der;
use std::time::Duration;
use usher_policy::renewal::Window;
use x509_parser::prelude::{FromDer, ParsedExtension, X509Certificate};

/// Shortest and longest time until it is asked again, whatever it says (RFC 9773 section 4.3.2).
const SOONEST: Duration = Duration::from_secs(60);
const LATEST: Duration = Duration::from_secs(24 * 60 * 60);
/// Time until then where it has not said anything.
const LATER: Duration = Duration::from_secs(6 * 60 * 60);

/// What the authority has said.
pub(super) struct Told {
    /// When it wants the certificate to be replaced; `None`: it does not say.
    pub(super) window: Option<Window>,
    /// Time until it is asked again.
    pub(super) ask_again: Duration,
    /// By which it knows the certificate; `None`: it does not say such things.
    pub(super) id: Option<CertificateIdentifier<'static>>,
}

/// Asks about `certificate`.
///
/// # Errors
/// When the authority could not be asked.
pub(super) async fn ask(account: &Account, certificate: &Loaded) -> Result<Told, Error> {
    let nothing = Told { window: None, ask_again: LATER, id: None };
    let Some(id) = id(certificate) else { return Ok(nothing) };
    match account.renewal_info(&id).await {
        Ok((info, ask_again)) => {
            let window = info.suggested_window;
            let window = Window { start: window.start.unix_timestamp(), end: window.end.unix_timestamp() };
            if let Some(why) = info.explanation_url {
                tracing::info!(certificate = %certificate.chain.display(), why, "the authority says when to replace a certificate");
            }
            Ok(Told { window: Some(window), ask_again: ask_again.clamp(SOONEST, LATEST), id: Some(id) })
        }
        Err(Error::Unsupported(_)) => Ok(nothing),
        Err(error) => Err(error),
    }
}

/// By which an authority knows a certificate (RFC 9773 section 4.1).
fn id(certificate: &Loaded) -> Option<CertificateIdentifier<'static>> {
    let leaf = certificate.key.cert.first()?;
    let (_, parsed) = X509Certificate::from_der(leaf).ok()?;
    let authority = parsed.extensions().iter().find_map(|extension| match extension.parsed_extension() {
        ParsedExtension::AuthorityKeyIdentifier(found) => found.key_identifier.as_ref(),
        _ => None,
    })?;
    let serial = parsed.tbs_certificate.raw_serial();
    Some(CertificateIdentifier::new(Der::from_slice(authority.0), Der::from_slice(serial)).into_owned())
}
