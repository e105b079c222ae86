//! What a configuration may say: its keys, what each may be, and what the commented file says of it.

pub use crate::raw::{Kind, Shape};

use crate::check;
use crate::template::TEMPLATE;

/// Most ways in which the commented file shows one key of a section.
const WAYS: usize = 3;

/// Everything that may be written.
pub fn shape() -> Shape {
    // An empty file shows what is always asked for, and the examples what depends on them.
    let examples: Vec<_> = (0..WAYS).map(example).collect();
    check::shape(&["", TEMPLATE].into_iter().chain(examples.iter().map(String::as_str)).collect::<Vec<_>>())
}

/// The commented file with everything in force that it shows: of a key that it shows in several ways, the one at `way`.
fn example(way: usize) -> String {
    let mut lines = Vec::new();
    let mut seen: Vec<&str> = Vec::new();
    // Some lists have a line for each element.
    let mut is_in_list = false;
    for line in TEMPLATE.lines() {
        let bare = line.strip_prefix("# ").unwrap_or(line);
        if is_in_list {
            is_in_list = !bare.starts_with(']');
            lines.push(bare);
        } else if bare.starts_with('[') {
            seen.clear();
            lines.push(bare);
        } else if let Some((key, _)) = bare.split_once(" = ").filter(|(key, _)| is_key(key)) {
            if seen.iter().filter(|former| **former == key).count() == way {
                lines.push(bare);
                is_in_list = bare.ends_with('[');
            }
            seen.push(key);
        }
    }
    lines.join("\n")
}

fn is_key(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|octet| octet.is_ascii_lowercase() || octet == b'_')
}

/// What the commented file says of a section or of one of its keys: `path` is `["listener", "address"]` or `["tls"]`.
/// `None`: nothing, or something else each time that it shows it.
pub fn said_of(path: &[&str]) -> Option<String> {
    let mut section = String::new();
    // What is said each time that it is shown; the last of them may go on in the next line.
    let mut told: Vec<Option<String>> = Vec::new();
    let mut is_open = false;
    for line in TEMPLATE.lines() {
        let bare = line.strip_prefix("# ").unwrap_or(line);
        let more = line.trim_start_matches(['#', ' ']);
        if is_open && is_going_on(line) && !more.is_empty() {
            if let Some(Some(comment)) = told.last_mut() {
                comment.push(' ');
                comment.push_str(more);
            }
            continue;
        }
        let comment = |text: &str| text.split_once(" # ").map(|(_, comment)| comment.trim().to_owned());
        let found = if bare.starts_with('[') {
            let name = bare.split(']').next().unwrap_or_default();
            name.trim_matches(['[', ']']).clone_into(&mut section);
            (path == section.split('.').collect::<Vec<_>>()).then(|| comment(bare))
        } else if let Some((key, rest)) = bare.split_once(" = ").filter(|(key, _)| is_key(key)) {
            let here: Vec<_> = section.split('.').filter(|part| !part.is_empty()).chain([key]).collect();
            (here == path).then(|| comment(rest))
        } else {
            None
        };
        is_open = found.is_some();
        told.extend(found);
    }
    let mut told = told.into_iter();
    let said = told.next()??;
    // One that breaks off goes on with another key.
    let is_whole = !said.ends_with([',', ';']);
    (is_whole && told.next().is_none()).then_some(said)
}

/// Whether a line has nothing but more of the comment above it.
fn is_going_on(line: &str) -> bool {
    let spaces = line.trim_start_matches('#');
    line.trim_start().starts_with('#') && spaces.starts_with("     ") || line.starts_with("     ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds<'s>(shape: &'s Shape, path: &[&str]) -> Option<Vec<&'s Kind>> {
        let (first, rest) = path.split_first()?;
        let kinds = shape.0.get(*first)?;
        if rest.is_empty() {
            return Some(kinds.iter().collect());
        }
        kinds.iter().find_map(|kind| match kind {
            Kind::Table(inner) | Kind::Tables(inner) => self::kinds(inner, rest),
            _ => None,
        })
    }

    #[test]
    fn everything_that_the_commented_file_shows_is_known() {
        let shape = shape();
        let mut section = Vec::new();
        let mut seen = 0;
        for line in TEMPLATE.lines() {
            let bare = line.strip_prefix("# ").unwrap_or(line);
            if bare.starts_with('[') {
                let name = bare.split(']').next().unwrap().trim_matches('[');
                section = name.split('.').collect();
                assert!(kinds(&shape, &section).is_some(), "[{name}]");
            } else if let Some((key, _)) = bare.split_once(" = ")
                && is_key(key)
            {
                let path: Vec<_> = section.iter().copied().chain([key]).collect();
                assert!(kinds(&shape, &path).is_some(), "{path:?}");
                seen += 1;
            }
        }
        assert!(seen > 100, "{seen}");
    }

    #[test]
    fn kinds_are_what_is_read() {
        let shape = shape();
        let words = |words: &[&str]| Kind::Words(words.iter().map(|word| (*word).to_owned()).collect());
        let of =
            |path: &[&str]| kinds(&shape, path).unwrap_or_default().into_iter().cloned().collect::<Vec<_>>();
        assert_eq!(of(&["log", "format"]), [words(&["text", "json"])]);
        assert_eq!(of(&["server", "name"]), [Kind::Text]);
        assert_eq!(of(&["admin", "trusted_proxy", "operators"]), [Kind::List]);
        assert!(matches!(of(&["instance_host"])[..], [Kind::Tables(_)]));
        assert!(matches!(of(&["server", "login_wait"])[..], [Kind::Pattern(_)]));
        assert!(said_of(&["listener", "protocol"]).is_none(), "it is shown several times");
        assert_eq!(
            said_of(&["admin", "reader_token_file"]).unwrap(),
            "a token that may read, and change nothing"
        );
    }
}
