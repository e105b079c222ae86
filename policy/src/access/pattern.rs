//! Patterns in which `*` stands for any text, or none.

use crate::fold::fold;
use std::fmt;

/// A pattern for a name or a value, in the normal form of names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern(Box<str>);

impl Pattern {
    /// The pattern `text`.
    pub fn new(text: &str) -> Self {
        Self(fold(text.trim()).into())
    }

    /// Whether it matches `name`, which is in the normal form of names.
    pub fn matches(&self, name: &str) -> bool {
        let mut parts = self.0.split('*');
        let first = parts.next().unwrap_or_default();
        let Some(mut rest) = name.strip_prefix(first) else { return false };
        let Some(last) = parts.next_back() else { return rest.is_empty() };
        for part in parts {
            match rest.find(part) {
                Some(at) => rest = &rest[at + part.len()..],
                None => return false,
            }
        }
        rest.ends_with(last)
    }

    /// As it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The longest text without `*` in it, which every name that matches contains.
    pub(super) fn literal(&self) -> &str {
        self.0.split('*').max_by_key(|part| part.len()).unwrap_or_default()
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn stars_anywhere() {
        for (pattern, name, matches) in [
            ("anna", "anna", true),
            ("anna", "annab", false),
            ("anna", "xanna", false),
            ("*", "", true),
            ("*", "anna", true),
            ("", "", true),
            ("", "a", false),
            ("*@example.com", "anna@example.com", true),
            ("*@example.com", "anna@example.com.evil.test", false),
            ("ANNA*", "anna@x", true),
            ("a*a", "a", false),
            ("a*a", "aa", true),
            ("*b*", "abc", true),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "acb", false),
            ("*ab*ab", "ab", false),
            ("*ab*ab", "abab", true),
            ("**x**", "x", true),
        ] {
            assert_eq!(Pattern::new(pattern).matches(name), matches, "{pattern} {name}");
        }
    }

    /// What a pattern means, in the words of its definition.
    fn means(pattern: &[u8], name: &[u8]) -> bool {
        match (pattern.split_first(), name.split_first()) {
            (None, None) => true,
            (Some((b'*', rest)), None) => means(rest, name),
            (Some((b'*', rest)), Some((_, shorter))) => means(rest, name) || means(pattern, shorter),
            (Some((p, pattern)), Some((n, name))) => p == n && means(pattern, name),
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn it_means_what_it_says(pattern in "[ab*]{0,8}", name in "[ab]{0,10}") {
            let read = Pattern::new(&pattern);
            prop_assert_eq!(read.matches(&name), means(pattern.as_bytes(), name.as_bytes()));
            prop_assert!(!read.matches(&name) || name.contains(read.literal()));
        }
    }
}
