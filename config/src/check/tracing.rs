//! `[tracing]`.

use super::Faults;
use crate::raw::{Count, Located, Section};
use crate::snapshot::Tracing;

pub(super) fn check(file: &mut Section<'_>, faults: &mut Faults) -> Option<Tracing> {
    const EXAMPLE: &str = "\"http://127.0.0.1:4318\"";
    let mut section = file.single("tracing", faults)?;
    let otlp: Option<Located<String>> = section.required("otlp", EXAMPLE, faults);
    let percent: Option<Located<Count>> = section.optional("percent", faults);
    section.finish(faults);
    let otlp = otlp?;
    if !is_place(&otlp.value) {
        let what =
            "`otlp` is not a collector's address, without a name, a password, a query or the path of OTLP";
        faults.push(otlp.fault(what, format!("write `otlp = {EXAMPLE}`")));
    }
    if let Some(percent) = percent.as_ref().filter(|percent| percent.value.0 > 100) {
        faults.push(percent.fault("`percent` is above 100", "write a number from 0 to 100"));
    }
    Some(Tracing { otlp: otlp.value, percent: percent.map_or(100, |percent| percent.value.0) })
}

/// Whether something can be asked there. What is in it is shown to whoever may see the configuration.
fn is_place(url: &str) -> bool {
    let rest = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"));
    let Some(rest) = rest else { return false };
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port.parse::<u16>().is_ok()),
        _ => (authority, true),
    };
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let is_host = match bare {
        Some(ip) => ip.parse::<std::net::Ipv6Addr>().is_ok(),
        None => {
            !host.is_empty()
                && host.bytes().all(|octet| octet.is_ascii_alphanumeric() || b".-_".contains(&octet))
        }
    };
    let is_path = path.bytes().all(|octet| octet.is_ascii_graphic() && octet != b'?' && octet != b'#');
    port && is_host && is_path && !path.trim_end_matches('/').ends_with("v1/traces")
}

#[cfg(test)]
mod tests {
    use super::is_place;

    #[test]
    fn a_place_is_where_something_can_be_asked() {
        for good in ["http://127.0.0.1:4318", "https://otel.example.com/base/", "http://[::1]:4318"] {
            assert!(is_place(good), "{good}");
        }
        for bad in [
            "",
            "127.0.0.1:4318",
            "http://",
            "http://:::",
            "http://[::1",
            "http://a:b",
            "http://anna:secret@otel.example.com",
            "http://otel.example.com/?token=x",
            "http://otel.example.com/v1/traces",
            "http://otel example.com",
        ] {
            assert!(!is_place(bad), "{bad}");
        }
    }
}
