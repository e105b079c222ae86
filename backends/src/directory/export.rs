//! Writes all entries in the form that can be imported.

use super::{DirectoryError, Ledger};
use std::collections::BTreeSet;
use std::io::Write;

/// Writes every user and domain as `user,host` lines with a column for each attribute that any has, which can be
/// imported again.
///
/// # Errors
/// When the file cannot be read, or the output cannot be written.
pub fn export(ledger: &dyn Ledger, out: impl Write) -> Result<(), DirectoryError> {
    let failed = |error: csv::Error| DirectoryError::Io { path: "the output".into(), source: error.into() };
    let mut names = BTreeSet::new();
    ledger.scan(None, &mut |entry| {
        names.extend(entry.attributes.into_keys());
        true
    })?;
    let mut csv = csv::Writer::from_writer(out);
    let columns = ["user", "host"].into_iter().chain(names.iter().map(String::as_str));
    let mut written = csv.write_record(columns);
    ledger.scan(None, &mut |mut entry| {
        let values = names.iter().map(|name| entry.attributes.remove(name).unwrap_or_default());
        let values: Vec<_> = values.collect();
        if written.is_ok() {
            written = csv.write_record([entry.key.to_string(), entry.host].into_iter().chain(values));
        }
        written.is_ok()
    })?;
    written.map_err(failed)?;
    csv.flush().map_err(|source| DirectoryError::Io { path: "the output".into(), source })
}
