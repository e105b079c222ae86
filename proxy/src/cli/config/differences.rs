//! What differs between two texts in TOML, whatever the order of their sections.

use std::collections::BTreeMap;
use std::fmt;
use toml::Value;

/// One setting that differs.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Difference {
    /// Where it is, such as `instance_host[ih1.example.com].imap.address`.
    path: String,
    before: Option<String>,
    after: Option<String>,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.before, &self.after) {
            (Some(before), Some(after)) => write!(f, "~ {}: {before} -> {after}", self.path),
            (Some(before), None) => write!(f, "- {} = {before}", self.path),
            (None, Some(after)) => write!(f, "+ {} = {after}", self.path),
            (None, None) => Ok(()),
        }
    }
}

/// Every setting that differs, in order.
pub(super) fn differences(before: &str, after: &str) -> Vec<Difference> {
    let [before, after] = [before, after].map(|text| {
        let mut settings = BTreeMap::new();
        if let Ok(table) = text.parse::<toml::Table>() {
            flatten("", &Value::Table(table), &mut settings);
        }
        settings
    });
    let paths: std::collections::BTreeSet<_> = before.keys().chain(after.keys()).collect();
    let differing = paths.into_iter().filter(|path| before.get(*path) != after.get(*path));
    differing
        .map(|path| Difference {
            path: path.clone(),
            before: before.get(path).cloned(),
            after: after.get(path).cloned(),
        })
        .collect()
}

fn flatten(path: &str, value: &Value, settings: &mut BTreeMap<String, String>) {
    match value {
        Value::Table(table) if !table.is_empty() || path.is_empty() => {
            for (key, value) in table {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                flatten(&path, value, settings);
            }
        }
        Value::Array(items) if !items.is_empty() && items.iter().all(Value::is_table) => {
            let mut seen: BTreeMap<String, usize> = BTreeMap::new();
            // Of rules and identities the first decides, and of certificates it is the default.
            if ORDERED.contains(&path) && items.len() > 1 {
                let names: Vec<_> = items.iter().map(name).collect();
                settings.insert(format!("{path} in order"), names.join(", "));
            }
            for item in items {
                let name = name(item);
                let count = seen.entry(name.clone()).or_default();
                *count += 1;
                // Those that have no name of their own are told apart by their order.
                let place = if *count > 1 || name.is_empty() { format!("{name}#{count}") } else { name };
                flatten(&format!("{path}[{place}]"), item, settings);
            }
        }
        other => drop(settings.insert(path.to_owned(), other.to_string())),
    }
}

/// Lists whose order matters.
const ORDERED: [&str; 4] = ["access_rule", "certificate", "https.identity", "https.path"];

/// By what people know a section.
fn name(section: &Value) -> String {
    let known =
        ["name", "address", "chain", "from", "path"].into_iter().find_map(|key| section.get(key)?.as_str());
    known.unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(before: &str, after: &str) -> Vec<String> {
        differences(before, after).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn order_and_form_do_not_matter() {
        let one = "[a]\nx = 1\n[[h]]\nname = \"1\"\nimap = { address = \"x\" }\n[[h]]\nname = \"2\"\n";
        let other =
            "[[h]]\nname = \"2\"\n[[h]]\nname = \"1\"\n[h.imap]\naddress = \"x\"\n[a]\nx = 1 # as it was\n";
        assert_eq!(told(one, other), Vec::<String>::new());
    }

    #[test]
    fn order_matters_where_the_first_decides() {
        let rule = |name: &str| format!("[[access_rule]]\nname = \"{name}\"\n");
        let (one, other) = (rule("a") + &rule("b"), rule("b") + &rule("a"));
        assert_eq!(told(&one, &other), ["~ access_rule in order: a, b -> b, a"]);
    }

    #[test]
    fn what_differs() {
        let one =
            "[a]\nx = 1\ny = [\"b\"]\n[[h]]\nname = \"1\"\nimap = { address = \"x\" }\n[[h]]\nname = \"2\"\n";
        let other = "[a]\nx = 2\ny = [\"b\", \"c\"]\n[[h]]\nname = \"1\"\nimap = { address = \"z\" }\n[[h]]\nname = \"3\"\n[b]\n";
        assert_eq!(
            told(one, other),
            [
                "~ a.x: 1 -> 2",
                "~ a.y: [\"b\"] -> [\"b\", \"c\"]",
                "+ b = {}",
                "~ h[1].imap.address: \"x\" -> \"z\"",
                "- h[2].name = \"2\"",
                "+ h[3].name = \"3\"",
            ]
        );
    }

    #[test]
    fn sections_without_names_are_told_apart_by_their_order() {
        let one = "[[i]]\nclaim = \"a\"\n[[i]]\nclaim = \"b\"\n";
        let other = "[[i]]\nclaim = \"a\"\n[[i]]\nclaim = \"c\"\n";
        assert_eq!(told(one, other), ["~ i[#2].claim: \"b\" -> \"c\""]);
    }
}
