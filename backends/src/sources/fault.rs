//! Why a source has no answer.

/// For operators, never for clients, and never with a secret in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SourceFault {
    /// It cannot be asked, or does not answer as it should: what it said before may be used.
    #[error("{0}")]
    Out(String),
    /// It has answered, and what it says of this user cannot be used.
    #[error("{0}")]
    Answer(String),
    /// It wants to be asked again, after this time.
    #[error("it wants to be asked again in {} s", .0.as_secs())]
    Wait(std::time::Duration),
    /// It refuses the login, and wants that to be said only after this time.
    #[error("it refuses the login")]
    Refused(std::time::Duration),
}

impl SourceFault {
    /// It cannot be asked.
    pub(super) fn out(why: impl std::fmt::Display) -> Self {
        Self::Out(why.to_string())
    }

    /// What it says cannot be used.
    pub(super) fn answer(why: impl Into<String>) -> Self {
        Self::Answer(why.into())
    }
}

/// An error and what has led to it.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut told = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        told = format!("{told}: {inner}");
        source = inner.source();
    }
    told
}
