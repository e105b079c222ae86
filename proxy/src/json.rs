//! The value of one key in a JSON object. A key that appears twice is refused: some readers take the first, some the
//! last, and some ignore the case of keys.

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;
use std::fmt;

/// The object has a key twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Doubled;

/// The string at `key` in the JSON object `text`; `None` if it is not an object, or has no string there.
pub(crate) fn text_of(text: &[u8], key: &str) -> Result<Option<String>, Doubled> {
    let Ok(Members(members)) = serde_json::from_slice(text) else { return Ok(None) };
    let mut folded: Vec<String> = members.iter().map(|(name, _)| name.to_lowercase()).collect();
    folded.sort_unstable();
    if folded.windows(2).any(|pair| pair.first() == pair.last()) {
        return Err(Doubled);
    }
    let found = members.into_iter().find(|(name, _)| name == key);
    Ok(found.and_then(|(_, value)| value.as_str().map(str::to_owned)))
}

/// The members of an object as written.
struct Members(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Members;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Object)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_twice_is_nobodys() {
        for (text, expected) in [
            (r#"{"user":"anna","x":1}"#, Ok(Some("anna".to_owned()))),
            (r#"{"user":"anna","user":"bob"}"#, Err(Doubled)),
            (r#"{"user":"anna","user":"anna"}"#, Err(Doubled)),
            (r#"{"user":"anna","us\u0065r":"bob"}"#, Err(Doubled)),
            (r#"{"user":"anna","User":"bob"}"#, Err(Doubled)),
            (r#"{"user":"anna","x":{"user":"bob"}}"#, Ok(Some("anna".to_owned()))),
            (r#"{"x":1,"x":2,"user":"anna"}"#, Err(Doubled)),
            (r#"{"user":["anna"]}"#, Ok(None)),
            (r#"[{"user":"anna"}]"#, Ok(None)),
            (r#"{"user":"anna"} x"#, Ok(None)),
            ("", Ok(None)),
        ] {
            assert_eq!(text_of(text.as_bytes(), "user"), expected, "{text}");
        }
    }
}
