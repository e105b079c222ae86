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
    /// Where it stands in the file.
    #[serde(skip)]
    pub span: Range<usize>,
}
