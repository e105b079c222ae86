//! Names in forms and queries, parsed the same way everywhere.

use crate::https::message::refusal::Refusal;
use http::StatusCode;

/// Some servers take the first of two names, some the last.
pub(crate) const AMBIGUOUS: Refusal = Refusal::new(StatusCode::BAD_REQUEST, "ambiguous-identity");

/// The value of a field of a form or a query.
pub(crate) fn one_of(pairs: &[u8], field: &str) -> Option<String> {
    form_urlencoded::parse(pairs).find(|(name, _)| name == field).map(|(_, value)| value.into_owned())
}

/// Whether a field appears twice with different values. Some servers ignore the case of names.
pub(crate) fn is_ambiguous(pairs: &[u8], field: &str) -> bool {
    let field = field.to_lowercase();
    let named = form_urlencoded::parse(pairs).filter(|(name, _)| name.to_lowercase() == field);
    let mut values = named.map(|(_, value)| value);
    let first = values.next();
    values.any(|value| Some(value) != first)
}
