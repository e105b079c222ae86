//! `usher schema`: what a configuration may say, for editors.

use super::{Exit, print};
use serde_json::{Map, Value, json};
use usher_config::schema::{Kind, Shape, said_of, shape};

/// Prints the JSON schema.
pub(super) fn schema() -> Exit {
    let mut schema = table(&shape(), &[]);
    if let Value::Object(object) = &mut schema {
        object.insert("$schema".into(), "http://json-schema.org/draft-07/schema#".into());
        object.insert("title".into(), "The configuration of usher".into());
    }
    print(&format!("{schema:#}\n"))
}

fn table(shape: &Shape, path: &[&str]) -> Value {
    let mut properties = Map::new();
    for (key, kinds) in &shape.0 {
        let path: Vec<_> = path.iter().copied().chain([*key]).collect();
        let mut alternatives: Vec<_> = kinds.iter().map(|kind| value(kind, &path)).collect();
        let mut property = match alternatives.len() {
            1 => alternatives.remove(0),
            _ => json!({ "anyOf": alternatives }),
        };
        if let (Some(said), Value::Object(property)) = (said_of(&path), &mut property) {
            property.insert("description".into(), said.into());
        }
        properties.insert((*key).to_owned(), property);
    }
    json!({ "type": "object", "additionalProperties": false, "properties": properties })
}

fn value(kind: &Kind, path: &[&str]) -> Value {
    match kind {
        Kind::Text => json!({ "type": "string" }),
        Kind::Words(words) => json!({ "enum": words }),
        Kind::Boolean => json!({ "type": "boolean" }),
        Kind::Number(least) => json!({ "type": "integer", "minimum": least, "maximum": u32::MAX }),
        Kind::Pattern(pattern) => json!({ "type": "string", "pattern": pattern }),
        Kind::List => json!({ "type": "array" }),
        Kind::Names => json!({ "type": "object" }),
        Kind::Table(inner) => table(inner, path),
        Kind::Tables(inner) => json!({ "type": "array", "items": table(inner, path) }),
    }
}
