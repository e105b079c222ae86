//! Thunderbird's autoconfig, version 1.1 (draft-ietf-mailmaint-autoconfig).

use super::Known;
use super::xml::element;
use quick_xml::escape::escape;
use std::fmt::Write;

/// The configuration for whoever asks at `host`, and has named this `address`.
pub(super) fn answer(known: &Known<'_>, host: &str, address: Option<&str>) -> String {
    let oauth = known.oauth(address);
    let domains = known.snapshot.domains.names();
    let provider = domains.first().copied().unwrap_or(host);
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<clientConfig version=\"1.1\">");
    let _ = write!(out, "<emailProvider id=\"{}\">", escape(provider));
    if domains.is_empty() {
        element(&mut out, "domain", host);
    }
    for domain in &domains {
        element(&mut out, "domain", domain);
    }
    element(&mut out, "displayName", &known.setup.display_name);
    element(&mut out, "displayShortName", &known.setup.display_name);
    for server in &known.servers {
        out.push_str("<incomingServer type=\"imap\">");
        way(&mut out, server.host, server.port, server.implicit_tls, oauth.is_some());
        out.push_str("</incomingServer>");
    }
    if let Some(smtp) = known.smtp() {
        out.push_str("<outgoingServer type=\"smtp\">");
        way(&mut out, &smtp.host, smtp.port, smtp.implicit_tls, false);
        out.push_str("</outgoingServer>");
    }
    out.push_str("</emailProvider>");
    if let Some(oauth) = oauth {
        out.push_str("<oAuth2>");
        element(&mut out, "issuer", &oauth.issuer);
        let parts = [("scope", &oauth.scope), ("authURL", &oauth.auth_url), ("tokenURL", &oauth.token_url)];
        for (name, value) in parts {
            value.iter().for_each(|value| element(&mut out, name, value));
        }
        out.push_str("</oAuth2>");
    }
    out.push_str("</clientConfig>\n");
    out
}

fn way(out: &mut String, host: &str, port: u16, implicit_tls: bool, takes_tokens: bool) {
    element(out, "hostname", host);
    element(out, "port", port);
    element(out, "socketType", if implicit_tls { "SSL" } else { "STARTTLS" });
    // Clients take the first one that they can.
    if takes_tokens {
        element(out, "authentication", "OAuth2");
    }
    element(out, "authentication", "password-cleartext");
    element(out, "username", "%EMAILADDRESS%");
}
