//! `[directory]`.

use serde::Serialize;
use std::path::PathBuf;

/// Who is asked where an archive is.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Directory {
    /// The hosts are asked who has a user whom the directory does not know; `None`: nobody is.
    pub peers: Option<Peers>,
    /// A referral to another host that lets the user in changes the user's entry.
    pub learn_referrals: bool,
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
