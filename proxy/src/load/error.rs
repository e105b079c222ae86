//! Why a configuration cannot be used.

use std::fmt;
use std::path::PathBuf;
use usher_backends::health::secret::SecretFault;
use usher_config::Fault;

/// What is wrong with a configuration, in the form shown to the operator.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    /// The file cannot be read.
    #[error("{path}: {source}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file has faults, or names something that cannot be used.
    #[error("{}", .0.render(false))]
    Faulty(Faulty),
    /// The passwords of probes cannot be read.
    #[error("{}", lines(.0))]
    Secrets(Vec<SecretFault>),
}

impl ConfigError {
    /// The same text for a terminal with colours.
    pub(crate) fn in_colour(&self) -> String {
        match self {
            Self::Faulty(faulty) => faulty.render(true),
            Self::Unreadable { .. } | Self::Secrets(_) => self.to_string(),
        }
    }
}

/// A text with all the faults.
pub(crate) struct Faulty {
    pub(super) path: PathBuf,
    pub(super) text: String,
    pub(super) faults: Vec<Fault>,
}

impl Faulty {
    fn render(&self, colour: bool) -> String {
        usher_config::fault::render(&self.path.display().to_string(), &self.text, &self.faults, colour)
    }
}

impl fmt::Debug for Faulty {
    /// Omits the text, which is long.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Faulty")
            .field("path", &self.path)
            .field("faults", &self.faults)
            .finish_non_exhaustive()
    }
}

fn lines(faults: &[SecretFault]) -> String {
    let lines: Vec<_> =
        faults.iter().map(|fault| format!("{fault}; name a file that usher may read")).collect();
    lines.join("\n")
}
