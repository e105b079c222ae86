//! A chain and its key.

use serde::Serialize;
use std::ops::Range;
use std::path::PathBuf;

/// `[[certificate]]`.
#[derive(Debug, Clone, Serialize)]
pub struct Certificate {
    /// The chain, PEM, leaf first.
    pub chain: PathBuf,
    /// Its key, PEM.
    pub key: PathBuf,
    /// The file with the password that the key is encrypted with; `None`: it is not.
    pub key_password_file: Option<PathBuf>,
    /// Where it stands in the file.
    #[serde(skip)]
    pub span: Range<usize>,
}
