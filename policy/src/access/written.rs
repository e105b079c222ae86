//! Conditions as operators write them.

use super::conditions::Conditions;
use super::rule::Rule;
use std::fmt::Display;

impl Rule {
    /// The conditions as they are written, a line each.
    pub fn written_conditions(&self) -> Vec<String> {
        written(&self.conditions, "")
    }

    /// The exceptions as they are written, a line each.
    pub fn written_exceptions(&self) -> Vec<String> {
        written(&self.exceptions, "except_")
    }
}

fn written(those: &Conditions, prefix: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut add = |key: &str, values: Option<String>| {
        lines.extend(values.map(|values| format!("{prefix}{key} = {values}")));
    };
    add("protocols", list(&those.protocols));
    add("addresses", list(&those.addresses));
    add("source_ports", list(&those.source_ports));
    add("mechanisms", list(&those.mechanisms));
    add("users", list(&those.users));
    add("domains", list(&those.domains));
    add("tenants", list(&those.tenants));
    let attributes: Vec<_> = those
        .attributes
        .iter()
        .filter_map(|(name, patterns)| Some(format!("{name:?} = {}", list(patterns)?)))
        .collect();
    add("attributes", (!attributes.is_empty()).then(|| format!("{{ {} }}", attributes.join(", "))));
    add("times", list(&those.times));
    add("countries", list(&those.countries));
    add("client_certificate", those.client_certificate.map(|wanted| wanted.to_string()));
    lines
}

fn list<T: Display>(values: &[T]) -> Option<String> {
    let shown: Vec<_> = values.iter().map(|value| format!("{:?}", value.to_string())).collect();
    (!shown.is_empty()).then(|| format!("[{}]", shown.join(", ")))
}
