//! Apple's configuration profiles: one IMAP account, signed where the operator gives a key.

use super::xml::{element, flag, property};
use super::{Known, sign};
use crate::https::pages::text;
use crate::https::response::ResponseBody;
use aws_lc_rs::digest::{SHA256, digest};
use http::header::CONTENT_DISPOSITION;
use http::{HeaderValue, Response, StatusCode};
use rustls::sign::CertifiedKey;
use std::sync::Arc;

const KIND: &str = "application/x-apple-aspen-config";

/// The profile for `address`.
pub(super) fn answer(
    known: &Known<'_>,
    address: Option<&str>,
    key: Option<&Arc<CertifiedKey>>,
) -> Response<ResponseBody> {
    let plain = "text/plain; charset=utf-8";
    let Some(address) = address.filter(|address| known.serves(address)) else {
        return text(StatusCode::NOT_FOUND, plain, "add ?email= with an address that this server knows\n");
    };
    let Some(profile) = profile(known, address) else {
        return text(
            StatusCode::NOT_FOUND,
            plain,
            "profiles require a server for outgoing mail, and none is configured\n",
        );
    };
    let signed = key.map(|key| sign::sign(profile.as_bytes(), key));
    let mut response = match signed {
        None => text(StatusCode::OK, KIND, profile),
        Some(Ok(signed)) => text(StatusCode::OK, KIND, signed),
        Some(Err(error)) => {
            tracing::error!(%error, "configuration profiles cannot be signed");
            return text(StatusCode::INTERNAL_SERVER_ERROR, plain, "");
        }
    };
    let attached = HeaderValue::from_static("attachment; filename=\"profile.mobileconfig\"");
    response.headers_mut().insert(CONTENT_DISPOSITION, attached);
    response
}

/// `None` without a server for outgoing mail: devices do not accept an account that cannot send.
fn profile(known: &Known<'_>, address: &str) -> Option<String> {
    let (smtp, server) = (known.smtp()?, known.servers.first()?);
    let name = &known.setup.display_name;
    let reverse: Vec<&str> = known.snapshot.server.name.rsplit('.').collect();
    let identifier = format!("{}.mail", reverse.join("."));
    let mut out = String::from(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<!DOCTYPE plist PUBLIC \"-//Apple//DTD PLIST 1.0//EN\" \
         \"http://www.apple.com/DTDs/PropertyList-1.0.dtd\">\n<plist version=\"1.0\"><dict>",
    );
    element(&mut out, "key", "PayloadContent");
    out.push_str("<array><dict>");
    for (key, value) in [
        ("EmailAccountDescription", name.as_str()),
        ("EmailAccountType", "EmailTypeIMAP"),
        ("EmailAddress", address),
        ("IncomingMailServerAuthentication", "EmailAuthPassword"),
        ("IncomingMailServerHostName", server.host),
        ("IncomingMailServerUsername", address),
        ("OutgoingMailServerAuthentication", "EmailAuthPassword"),
        ("OutgoingMailServerHostName", smtp.host.as_str()),
        ("OutgoingMailServerUsername", address),
        ("PayloadType", "com.apple.mail.managed"),
        ("PayloadDisplayName", name.as_str()),
    ] {
        property(&mut out, key, "string", value);
    }
    property(&mut out, "IncomingMailServerPortNumber", "integer", server.port);
    property(&mut out, "OutgoingMailServerPortNumber", "integer", smtp.port);
    flag(&mut out, "IncomingMailServerUseSSL", true);
    flag(&mut out, "OutgoingMailServerUseSSL", true);
    flag(&mut out, "OutgoingPasswordSameAsIncomingPassword", true);
    payload(&mut out, &format!("{identifier}.account"), address);
    out.push_str("</dict></array>");
    property(&mut out, "PayloadType", "string", "Configuration");
    property(&mut out, "PayloadDisplayName", "string", name);
    property(&mut out, "PayloadOrganization", "string", &known.snapshot.server.name);
    flag(&mut out, "PayloadRemovalDisallowed", false);
    payload(&mut out, &identifier, address);
    out.push_str("</dict></plist>\n");
    Some(out)
}

/// Distinguishes a payload from others: the same for the same account, so that a newer one replaces it.
fn payload(out: &mut String, identifier: &str, address: &str) {
    let digest = digest(&SHA256, format!("{identifier}\0{address}").as_bytes());
    let mut octets: Vec<u8> = digest.as_ref().iter().copied().take(16).collect();
    // Version 8, for custom schemes (RFC 9562 section 5.8).
    if let Some(octet) = octets.get_mut(6) {
        *octet = *octet & 0x0f | 0x80;
    }
    if let Some(octet) = octets.get_mut(8) {
        *octet = *octet & 0x3f | 0x80;
    }
    let hex: String = octets.iter().map(|octet| format!("{octet:02x}")).collect();
    let parts = [0..8, 8..12, 12..16, 16..20, 20..32].map(|part| hex.get(part).unwrap_or_default());
    property(out, "PayloadIdentifier", "string", identifier);
    property(out, "PayloadUUID", "string", parts.join("-"));
    property(out, "PayloadVersion", "integer", 1);
}
