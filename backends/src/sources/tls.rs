//! TLS with sources: verified by the system's roots, or by those of a file.

use super::fault::SourceFault;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use std::path::Path;
use std::sync::Arc;

/// How servers are verified whose certificates are signed by those in `ca`, or else by the system's roots.
///
/// # Errors
/// [`SourceFault`], if there are none in `ca`.
pub fn config(ca: Option<&Path>) -> Result<Arc<ClientConfig>, SourceFault> {
    let mut roots = RootCertStore::empty();
    match ca {
        Some(path) => {
            let unusable =
                |why: &dyn std::fmt::Display| SourceFault::Out(format!("{}: {why}", path.display()));
            let read = CertificateDer::pem_file_iter(path).map_err(|error| unusable(&error))?;
            for certificate in read {
                let certificate = certificate.map_err(|error| unusable(&error))?;
                roots.add(certificate).map_err(|error| unusable(&error))?;
            }
            if roots.is_empty() {
                return Err(unusable(&"no certificate in it"));
            }
        }
        None => {
            let found = rustls_native_certs::load_native_certs();
            roots.add_parsable_certificates(found.certs);
        }
    }
    let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(SourceFault::out)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}
