//! The normal form in which names are compared.

use unicode_normalization::UnicodeNormalization;

/// `text` in lower case, composed (NFC). Look-alikes remain different.
pub(crate) fn fold(text: &str) -> String {
    // Gives the same result, and almost all names are ASCII.
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    // Lower case may come out decomposed, so NFC comes last.
    text.nfc().flat_map(char::to_lowercase).nfc().collect()
}
