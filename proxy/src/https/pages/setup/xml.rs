//! Elements of XML with a text in them.

use quick_xml::escape::escape;
use std::fmt::Write;

/// Appends `<name>text</name>`.
pub(super) fn element(out: &mut String, name: &str, text: impl std::fmt::Display) {
    let text = text.to_string();
    // Writing to a text does not fail.
    let _ = write!(out, "<{name}>{}</{name}>", escape(text.as_str()));
}

/// Appends the elements of a property list's dictionary that set `key` to `text`.
pub(super) fn property(out: &mut String, key: &str, kind: &str, text: impl std::fmt::Display) {
    element(out, "key", key);
    element(out, kind, text);
}

/// Appends that `key` is true or false.
pub(super) fn flag(out: &mut String, key: &str, is: bool) {
    element(out, "key", key);
    out.push_str(if is { "<true/>" } else { "<false/>" });
}
