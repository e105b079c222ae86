//! nginx.conf with a `mail` block.

use super::blocks::{self, Setting};
use super::draft::{Draft, Listener, listening};

pub(super) fn read(text: &str) -> Draft {
    let mut draft = Draft::default();
    let settings = blocks::read(text, false);
    let mut certificate = (None, None);
    let mut protocol = "imap";
    for setting in settings.iter().filter(|setting| setting.is_within("mail")) {
        match setting.word(0) {
            "server" if setting.is_block => protocol = protocol_of(&settings, setting),
            "server_name" => draft.name = Some(setting.word(1).to_owned()),
            "listen" => listen(&mut draft, setting, protocol),
            "ssl_certificate" => certificate.0 = Some(setting.word(1).to_owned()),
            "ssl_certificate_key" => certificate.1 = Some(setting.word(1).to_owned()),
            "auth_http" => draft.note(
                setting.line,
                "auth_http says where users are: add an [[instance_host]] for each of its hosts, and import its users",
            ),
            // usher does that without being told.
            "protocol" | "starttls" | "proxy_pass_error_message" | "ssl" | "imap_capabilities" | "proxy"
            | "imap_auth" | "timeout" | "proxy_timeout" => {}
            // Without its value, which may be a secret.
            name => draft.note(setting.line, format!("not carried over: {name}")),
        }
        if let (Some(chain), Some(key)) = &certificate {
            draft.certificates.push((chain.clone(), key.clone()));
            certificate = (None, None);
        }
    }
    draft
}

/// What a server speaks, which may be said after it is said where.
fn protocol_of(settings: &[Setting], server: &Setting) -> &'static str {
    let mut inner = settings.iter().skip_while(|setting| !std::ptr::eq(*setting, server)).skip(1);
    let said = inner.find(|setting| setting.word(0) == "protocol" || setting.word(0) == "server");
    match said.map(|said| said.word(1)) {
        Some("pop3") => "pop3",
        Some("smtp") => "smtp",
        _ => "imap",
    }
}

fn listen(draft: &mut Draft, setting: &Setting, protocol: &str) {
    if protocol != "imap" {
        return draft.note(setting.line, format!("usher does not speak {protocol}"));
    }
    let (host, port) = setting.word(1).rsplit_once(':').unwrap_or(("", setting.word(1)));
    let has = |word: &str| setting.words.iter().any(|known| known == word);
    let protocol = if has("ssl") || port == "993" { "imaps" } else { "imap" };
    let has_proxy_header = has("proxy_protocol");
    draft.listeners.push(Listener {
        protocol,
        address: listening(host, port),
        has_proxy_header,
        array: None,
    });
}
