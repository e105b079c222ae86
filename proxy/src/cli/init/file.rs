//! The configuration that comes of the answers.

use super::answers::{Answers, Certificate, Users};
use std::path::Path;

/// The file's text.
pub(super) fn text(answers: &Answers) -> String {
    let mut out = String::from(
        "# Written by `usher init --wizard`; `usher init -` shows everything that can be written.\n\n",
    );
    let mut put = |text: &str| {
        out.push_str(text);
        out.push('\n');
    };
    put(&format!("[server]\nname = {}\nstate_dir = \"/var/lib/usher\"\n", quoted(&answers.name)));
    put("[admin]\nlisten = \"127.0.0.1:9143\"               # health, /metrics; changes need the socket\n");
    for listener in &answers.listeners {
        let (name, port) = (listener.name(), listener.port());
        put(&format!("[[listener]]\nprotocol = \"{name}\"\naddress = \"[::]:{port}\""));
        if name == "https" {
            put("redirect_from = \"[::]:80\"");
        }
        put("");
    }
    match &answers.certificate {
        Certificate::Files { chain, key } => {
            put(&format!("[[certificate]]\nchain = {}\nkey = {}\n", quoted(chain), quoted(key)));
        }
        Certificate::Ordered { contact } => {
            put(
                "[acme]\ndirectory = \"https://acme-v02.api.letsencrypt.org/directory\"\naccept_terms = true",
            );
            if !contact.is_empty() {
                put(&format!("contact = [{}]", quoted(&format!("mailto:{contact}"))));
            }
            put(&format!("names = [{}]\n", quoted(&answers.name)));
        }
        Certificate::SelfMade => {}
    }
    for host in &answers.hosts {
        put(&format!(
            "[[instance_host]]\nname = {}\nimap = {{ address = {}, tls = \"{}\" }}",
            quoted(&host.name),
            quoted(&host.address),
            host.tls
        ));
        if let Some(pin) = &host.pin {
            put(&format!("fingerprints = [{}]", quoted(pin)));
        }
        put("");
    }
    match &answers.users {
        Users::Domain { domain, .. } => {
            put(&format!("[[domain]]\nname = {}\ndefault_for = [\"any\"]", quoted(domain)));
        }
        Users::Peers => put("[directory]\non_miss = \"peers\""),
        Users::Csv(_) | Users::Later => {}
    }
    out
}

/// What the operator does now.
pub(super) fn next_steps(answers: &Answers, path: &Path) -> String {
    let config = path.display();
    let users = match &answers.users {
        Users::Csv(file) => format!("usher user --config {config} import {file}"),
        Users::Domain { domain, host } => format!("usher user --config {config} set @{domain} {host}"),
        Users::Peers | Users::Later => {
            let host = answers.hosts.first().map_or("HOST", |host| host.name.as_str());
            format!("usher user --config {config} set anna@example.com {host}")
        }
    };
    let files = match &answers.certificate {
        Certificate::Files { chain, key } => {
            format!(
                "    # {chain} and {key} are there, and may be read by usher: the manual has a hook for certbot\n"
            )
        }
        Certificate::Ordered { .. } | Certificate::SelfMade => String::new(),
    };
    format!("now:\n{files}    usher check --config {config}\n    {users}\n    systemctl enable --now usher")
}

/// As TOML writes a string.
fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}
