//! Thunderbird's autoconfig, version 1.1 (draft-ietf-mailmaint-autoconfig).

use super::Known;
use super::xml::element;
use quick_xml::escape::escape;
use std::fmt::Write;

/// The configuration for whoever asks at `host`, and has named this `address`.
pub(super) fn answer(known: &Known<'_>, host: &str, address: Option<&str>) -> String {
    let oauth = known.oauth(address);
    let domain = oauth.map(|oauth| &*oauth.domain);
    // A client that is told of no way takes none.
    let takes_passwords = oauth.is_none() || known.is_allowed(domain, &super::PASSWORDS);
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
        let ways = [("OAuth2", oauth.is_some()), ("password-cleartext", takes_passwords)];
        way(&mut out, (server.host, server.port, server.implicit_tls), ways);
        out.push_str("</incomingServer>");
    }
    if let Some(smtp) = known.smtp() {
        out.push_str("<outgoingServer type=\"smtp\">");
        let ways = [("OAuth2", false), ("password-cleartext", true)];
        way(&mut out, (&smtp.host, smtp.port, smtp.implicit_tls), ways);
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

/// A server, and how to log in there: clients take the first way that they can.
fn way(out: &mut String, (host, port, implicit_tls): (&str, u16, bool), ways: [(&str, bool); 2]) {
    element(out, "hostname", host);
    element(out, "port", port);
    element(out, "socketType", if implicit_tls { "SSL" } else { "STARTTLS" });
    for (name, _) in ways.into_iter().filter(|(_, is_taken)| *is_taken) {
        element(out, "authentication", name);
    }
    element(out, "username", "%EMAILADDRESS%");
}
