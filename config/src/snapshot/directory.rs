//! `[directory]`.

use super::sources::{Source, SourceCache};
use crate::shown;
use serde::Serialize;
use std::path::PathBuf;
use std::time::Duration;

/// Who is asked where an archive is.
#[derive(Debug, Clone, Serialize)]
pub struct Directory {
    /// In the order in which they are asked.
    pub sources: Vec<Source>,
    /// What is remembered of external ones.
    pub cache: SourceCache,
    /// Time in which an external one must have answered.
    #[serde(with = "shown::duration")]
    pub deadline: Duration,
    /// The hosts are asked who has a user whom the directory does not know; `None`: nobody is.
    pub peers: Option<Peers>,
    /// A referral to another host that lets the user in changes the user's entry.
    pub learn_referrals: bool,
}

impl Default for Directory {
    fn default() -> Self {
        Self {
            sources: vec![Source::Embedded],
            cache: SourceCache::default(),
            deadline: Duration::from_secs(3),
            peers: None,
            learn_referrals: false,
        }
    }
}

/// How the hosts are asked who has a user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Peers {
    /// Those that are asked, by name; none: all.
    pub hosts: Vec<String>,
    /// How.
    pub ask: AskPeers,
}

/// How a host is asked whether it has a user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum AskPeers {
    /// By logging in for the user as a master user.
    Master {
        /// The master user's name.
        user: String,
        /// The file with the password.
        password_file: PathBuf,
    },
    /// By a request for this path, in which `{user}` stands for the user: 2xx is yes, 404 is no.
    Http {
        /// The path.
        path: String,
    },
    /// By the login of the user.
    Login,
}
