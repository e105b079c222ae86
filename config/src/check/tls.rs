//! `[tls]`.

use super::Faults;
use crate::fault::Fault;
use crate::raw::Section;
use crate::snapshot::{Tls, TlsVersion};

pub(super) fn check(file: &mut Section<'_>, faults: &mut Faults) -> Tls {
    let mut tls = Tls::default();
    let Some(mut section) = file.single("tls", faults) else { return tls };
    if let Some(written) = section.given_list("versions", faults) {
        tls.versions.clear();
        for item in written {
            let Some(text) = item.text(faults) else { continue };
            match TlsVersion::ALL.into_iter().find(|known| known.name() == text.value) {
                Some(version) if tls.versions.contains(&version) => {}
                Some(version) => tls.versions.push(version),
                None => faults
                    .push(text.fault("not a version of TLS that is spoken here", "write \"1.2\" or \"1.3\"")),
            }
        }
    }
    if let Some(written) = section.given_list("cipher_suites", faults) {
        let mut suites: Vec<&'static str> = Vec::new();
        for item in written {
            let Some(text) = item.text(faults) else { continue };
            let known = Tls::SUITES.into_iter().find(|known| *known == text.value);
            match known {
                Some(suite) if suites.contains(&suite) => {}
                Some(suite) => suites.push(suite),
                None => faults.push(text.fault(
                    format!("there is no cipher suite \"{}\" here", text.value.escape_debug()),
                    format!("write some of {}", Tls::SUITES.join(", ")),
                )),
            }
        }
        for version in &tls.versions {
            if !suites.is_empty() && !suites.iter().any(|suite| TlsVersion::of_suite(suite) == *version) {
                let what = format!("none of the `cipher_suites` is one of TLS {}", version.name());
                let instead = "name one, or write which `versions` are spoken";
                faults.push(Fault::new(section.span.clone(), what, instead));
            }
        }
        tls.cipher_suites = Some(suites);
    }
    section.finish(faults);
    tls
}
