//! The files that a configuration names, as far as its text can be read: it may have faults elsewhere.

use crate::snapshot::Certificate;
use std::ops::Range;
use std::path::PathBuf;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A file or a directory, and where it is named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// The path.
    pub path: PathBuf,
    /// Where it stands.
    pub span: Range<usize>,
}

/// Everything that a configuration names.
#[derive(Debug, Default)]
pub struct Names {
    /// `[server] name`.
    pub server: Option<String>,
    /// `[server] state_dir`.
    pub state_dir: Option<Named>,
    /// `token_file`, `reader_token_file` and `secret_file` of `[admin]`.
    pub token_files: Vec<Named>,
    /// The `[[certificate]]` sections that name both files.
    pub certificates: Vec<Certificate>,
    /// `client_ca` of `[https]` and of each `[[listener]]`.
    pub client_cas: Vec<Named>,
    /// `[access] countries`.
    pub countries: Option<Named>,
    /// `[client_setup] signing`.
    pub signing: Option<Certificate>,
    /// Probes for services that their hosts do not have: the service, and the position of the probe.
    pub idle_probes: Vec<(&'static str, Range<usize>)>,
}

/// Reads what `text` names.
pub fn names(text: &str) -> Names {
    let (document, _) = DeTable::parse_recoverable(text);
    let file = document.get_ref();
    let of = |section: &str, key: &str| named(file.get(section)?.get_ref().as_table()?, key);
    let tables = |section: &str| {
        let items = file.get(section).and_then(|value| value.get_ref().as_array());
        let items = items.map(|items| items.iter().collect::<Vec<_>>()).unwrap_or_default();
        items
            .into_iter()
            .filter_map(|item| Some((item.get_ref().as_table()?, item.span())))
            .collect::<Vec<_>>()
    };
    let certificates = tables("certificate").into_iter().filter_map(|(table, span)| certificate(table, span));
    let idle_probes = tables("instance_host").into_iter().filter_map(|(table, _)| {
        let health = table.get("health")?.get_ref().as_table()?;
        let probe = health.get("http").filter(|_| !table.contains_key("http"))?;
        Some(("http", Spanned::span(probe)))
    });
    let signing = || {
        let setup = file.get("client_setup")?.get_ref().as_table()?;
        let signing = setup.get("signing")?;
        let (table, span) = (signing.get_ref().as_table()?, signing.span());
        certificate(table, span)
    };
    let of_admin = ["token_file", "reader_token_file"].into_iter().filter_map(|key| of("admin", key));
    let of_proxy = || {
        let admin = file.get("admin")?.get_ref().as_table()?;
        named(admin.get("trusted_proxy")?.get_ref().as_table()?, "secret_file")
    };
    let of_listeners = tables("listener").into_iter().filter_map(|(table, _)| named(table, "client_ca"));
    Names {
        client_cas: of("https", "client_ca").into_iter().chain(of_listeners).collect(),
        countries: of("access", "countries"),
        signing: signing(),
        server: of("server", "name").map(|name| name.path.to_string_lossy().into_owned()),
        state_dir: of("server", "state_dir"),
        token_files: of_admin.chain(of_proxy()).collect(),
        certificates: certificates.collect(),
        idle_probes: idle_probes.collect(),
    }
}

fn certificate(table: &DeTable<'_>, span: Range<usize>) -> Option<Certificate> {
    let key_password_file = named(table, "key_password_file").map(|file| file.path);
    Some(Certificate {
        chain: named(table, "chain")?.path,
        key: named(table, "key")?.path,
        key_password_file,
        span,
    })
}

fn named(table: &DeTable<'_>, key: &str) -> Option<Named> {
    let value: &Spanned<DeValue<'_>> = table.get(key)?;
    Some(Named { path: value.get_ref().as_str()?.into(), span: value.span() })
}
