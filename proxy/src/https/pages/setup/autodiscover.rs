//! Autodiscover: plain old XML for Outlook, and the JSON that leads to it.

use super::Known;
use super::xml::element;
use http::StatusCode;
use quick_xml::events::Event;
use quick_xml::reader::Reader;
use usher_config::snapshot::Protocol;

const RESPONSE: &str = "http://schemas.microsoft.com/exchange/autodiscover/responseschema/2006";
const OUTLOOK: &str = "http://schemas.microsoft.com/exchange/autodiscover/outlook/responseschema/2006a";

/// What a question asks for.
#[derive(Debug, Default)]
struct Question {
    address: Option<String>,
    schema: Option<String>,
}

/// The answer to a question in XML: the settings, or an error that says why there are none.
pub(super) fn answer(known: &Known<'_>, question: &[u8]) -> String {
    let Some(Question { address: Some(address), schema }) = read(question) else {
        return error(600, "Invalid Request");
    };
    if schema.is_some_and(|schema| schema != OUTLOOK) {
        return error(601, "Requested schema version not supported");
    }
    if !known.serves(&address) {
        return error(500, "The email address can't be found");
    }
    let mut out = format!(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<Autodiscover xmlns=\"{RESPONSE}\">\
         <Response xmlns=\"{OUTLOOK}\"><User>"
    );
    element(&mut out, "DisplayName", &known.setup.display_name);
    out.push_str("</User><Account>");
    element(&mut out, "AccountType", "email");
    element(&mut out, "Action", "settings");
    for server in &known.servers {
        protocol(&mut out, "IMAP", server.host, server.port, server.implicit_tls, &address);
    }
    if let Some(smtp) = known.smtp() {
        protocol(&mut out, "SMTP", &smtp.host, smtp.port, smtp.implicit_tls, &address);
    }
    out.push_str("</Account></Response></Autodiscover>\n");
    out
}

fn protocol(out: &mut String, kind: &str, host: &str, port: u16, implicit_tls: bool, address: &str) {
    out.push_str("<Protocol>");
    element(out, "Type", kind);
    element(out, "Server", host);
    element(out, "Port", port);
    element(out, "DomainRequired", "off");
    element(out, "LoginName", address);
    element(out, "SPA", "off");
    element(out, "SSL", "on");
    element(out, "Encryption", if implicit_tls { "SSL" } else { "TLS" });
    element(out, "AuthRequired", "on");
    out.push_str("</Protocol>");
}

fn error(code: u16, message: &str) -> String {
    let mut out = format!(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<Autodiscover xmlns=\"{RESPONSE}\"><Response>\
         <Error Time=\"00:00:00.0000000\" Id=\"0\">"
    );
    element(&mut out, "ErrorCode", code);
    element(&mut out, "Message", message);
    out.push_str("<DebugData/></Error></Response></Autodiscover>\n");
    out
}

fn read(question: &[u8]) -> Option<Question> {
    let mut reader = Reader::from_str(std::str::from_utf8(question).ok()?);
    let (mut read, mut inside) = (Question::default(), String::new());
    loop {
        match reader.read_event().ok()? {
            Event::Start(start) => inside = start.local_name().as_ref().to_ascii_lowercase(),
            Event::Text(text) => {
                let text = text.trim().to_owned();
                match inside.as_str() {
                    "emailaddress" => read.address = Some(text).filter(|text| !text.is_empty()),
                    "acceptableresponseschema" => read.schema = Some(text),
                    _ => {}
                }
            }
            Event::End(_) => inside.clear(),
            // A valid question has no document type.
            Event::DocType(_) => return None,
            Event::Eof => return Some(read),
            _ => {}
        }
    }
}

/// The answer in JSON: where the XML is.
pub(super) fn redirect(
    known: &Known<'_>,
    address: Option<&str>,
    protocol: Option<&str>,
) -> (StatusCode, String) {
    let fault = |code: &str, message: &str| {
        let body = serde_json::json!({ "ErrorCode": code, "ErrorMessage": message });
        (StatusCode::BAD_REQUEST, body.to_string())
    };
    if address.is_none_or(|address| !known.serves(address)) {
        return fault("MandatoryParameterMissing", "A valid value must be provided for 'Email'");
    }
    let Some(protocol) = protocol else {
        return fault("MandatoryParameterMissing", "A valid value must be provided for 'Protocol'");
    };
    if !protocol.eq_ignore_ascii_case("AutodiscoverV1") {
        let names = "The given protocol value is invalid. Supported values are 'AutodiscoverV1'";
        return fault("InvalidProtocol", names);
    }
    let https = known.snapshot.listeners.iter().find(|listener| listener.protocol() == Protocol::Https);
    let port = https.map_or(443, |listener| listener.address.port());
    let port = if port == 443 { String::new() } else { format!(":{port}") };
    let url = format!("https://{}{port}/autodiscover/autodiscover.xml", known.snapshot.server.name);
    (StatusCode::OK, serde_json::json!({ "Protocol": "AutodiscoverV1", "Url": url }).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions() {
        let whole = format!(
            "<?xml version=\"1.0\"?><a:Autodiscover xmlns:a=\"x\"><a:Request>\
             <a:EMailAddress> anna@example.com </a:EMailAddress>\
             <a:AcceptableResponseSchema>{OUTLOOK}</a:AcceptableResponseSchema></a:Request></a:Autodiscover>"
        );
        let read_whole = read(whole.as_bytes()).unwrap();
        assert_eq!(read_whole.address.as_deref(), Some("anna@example.com"));
        assert_eq!(read_whole.schema.as_deref(), Some(OUTLOOK));
        assert!(read(b"<a><EMailAddress></EMailAddress></a>").unwrap().address.is_none());
        assert!(read(b"<!DOCTYPE a [<!ENTITY b SYSTEM \"file:///x\">]><a>&b;</a>").is_none());
        assert!(read(b"<a").is_none_or(|question| question.address.is_none()));
    }
}
