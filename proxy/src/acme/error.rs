//! Why there is no certificate.

use instant_acme::{Error, Problem};
use std::fmt;

/// How far an order has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// The authority's directory is asked for.
    Directory,
    /// An account is made.
    Account,
    /// The order is placed.
    Order,
    /// The authority looks whether the name is usher's.
    Proof,
    /// The authority is given the key to certify.
    Finalize,
    /// What it has given is looked at.
    Certificate,
    /// It is kept.
    Store,
}

impl Stage {
    /// A word of a closed set, for logs and labels.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Directory => "directory",
            Self::Account => "account",
            Self::Order => "order",
            Self::Proof => "proof",
            Self::Finalize => "finalize",
            Self::Certificate => "certificate",
            Self::Store => "store",
        }
    }
}

/// Why there is no certificate.
#[derive(Debug)]
pub(super) struct OrderError {
    pub(super) stage: Stage,
    what: String,
    /// The authority does not know the account any longer.
    pub(super) has_no_account: bool,
    /// The authority itself refuses, perhaps only because of what the order says that it replaces.
    pub(super) is_refusal: bool,
}

impl OrderError {
    pub(super) fn new(stage: Stage, what: impl Into<String>) -> Self {
        Self { stage, what: what.into(), has_no_account: false, is_refusal: false }
    }

    /// What the authority, or the way there, says.
    pub(super) fn of(stage: Stage, error: &Error) -> Self {
        let is = |kind: &str| match error {
            Error::Api(Problem { r#type: Some(known), .. }) => known.rsplit(':').next() == Some(kind),
            _ => false,
        };
        Self {
            stage,
            what: with_causes(error),
            has_no_account: is("accountDoesNotExist"),
            // Or it does not say that it replaces anything, which is an error of its answer.
            is_refusal: matches!(error, Error::Api(_)) && !is("rateLimited") && !is("serverInternal")
                || error.to_string().starts_with("replaces field mismatch"),
        }
    }
}

/// An error with those below it: the top one often says only that something has failed.
fn with_causes(error: &dyn std::error::Error) -> String {
    let mut told = error.to_string();
    let mut below = error.source();
    while let Some(cause) = below {
        let cause_told = cause.to_string();
        if !told.contains(&cause_told) {
            told = format!("{told}: {cause_told}");
        }
        below = cause.source();
    }
    told
}

impl fmt::Display for OrderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}
