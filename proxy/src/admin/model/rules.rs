//! The access rules, and what they say.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::IpAddr;
use utoipa::ToSchema;

/// The access rules.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct Rules {
    /// In order.
    pub(crate) rules: Vec<ShownRule>,
}

/// An access rule.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct ShownRule {
    /// Its place, counted from 1: the first rule that matches decides.
    pub(crate) place: usize,
    /// What the operator calls it.
    pub(crate) name: String,
    /// `allow` or `deny`.
    pub(crate) action: String,
    /// A disabled rule matches nothing.
    pub(crate) enabled: bool,
    /// Whether it ends the sessions that it denies when it comes into force.
    pub(crate) apply_to_live: bool,
    /// As they are written, one key each; all must hold.
    pub(crate) conditions: Vec<String>,
    /// As they are written, one key each; none may hold.
    pub(crate) exceptions: Vec<String>,
    /// How many logins, requests and connections it has denied since it was loaded.
    pub(crate) denied: u64,
}

/// A login that the rules are asked about.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RuleTest {
    /// The name as typed; missing: the client names nobody.
    pub(crate) user: Option<String>,
    /// The client's address.
    #[schema(value_type = String)]
    pub(crate) address: IpAddr,
    /// The client's port.
    pub(crate) port: Option<u16>,
    /// `imap`, `imaps`, `https` or `tcp`.
    pub(crate) protocol: String,
    /// How the client logs in, or where its request names the user; missing: `plain`, and `basic` for `https`.
    pub(crate) mechanism: Option<String>,
    /// The client shows a certificate that is trusted.
    #[serde(default)]
    pub(crate) certificate: bool,
    /// When, in seconds since 1970; missing: now.
    pub(crate) at: Option<i64>,
    /// usher's address that the client connects to, for bare names.
    #[schema(value_type = Option<String>)]
    pub(crate) local: Option<IpAddr>,
    /// The name that the client asks for with SNI, for bare names.
    pub(crate) server_name: Option<String>,
    /// The text of a configuration whose rules are asked; missing: those in force.
    pub(crate) next: Option<String>,
    /// What that configuration is called in messages.
    pub(crate) file: Option<String>,
}

/// Other rules, to be asked about the logins that are remembered.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RuleReplay {
    /// The text of the configuration with these rules.
    pub(crate) next: String,
    /// What that configuration is called in messages.
    pub(crate) file: Option<String>,
    /// At most so many of those who would be refused are listed, and of those who would be let in; at most 10,000.
    pub(crate) limit: Option<usize>,
}

/// What would change for the logins that are remembered. Those of one user from one address in the same way count once.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct RuleReplayed {
    /// How many were looked at.
    pub(crate) logins: usize,
    /// For how many it cannot be said, because only digests of their names are remembered.
    pub(crate) unsure: usize,
    /// Those who would be refused.
    pub(crate) refused: Replayed,
    /// Those who would be let in.
    pub(crate) admitted: Replayed,
}

/// Logins on which the verdict changes.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct Replayed {
    /// How many.
    pub(crate) count: usize,
    /// How many by which rule.
    pub(crate) by_rule: BTreeMap<String, usize>,
    /// The most frequent of them.
    pub(crate) logins: Vec<ReplayedLogin>,
}

/// A login that is remembered.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct ReplayedLogin {
    /// Who; a digest if only that is remembered.
    pub(crate) user: String,
    /// From where.
    pub(crate) client: String,
    /// What was spoken.
    pub(crate) protocol: String,
    /// How they logged in.
    pub(crate) mechanism: String,
    /// When last, in seconds since 1970.
    pub(crate) last: i64,
    /// How often.
    pub(crate) count: u64,
    /// The rule that refuses them, or has refused them.
    pub(crate) rule: String,
}

/// What the rules say of a login.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct RuleTested {
    /// The key that the name becomes; missing if no archive can have this name.
    pub(crate) key: Option<String>,
    /// The rules that match, the deciding one first.
    pub(crate) matching: Vec<ShownRule>,
    /// `allow` or `deny`.
    pub(crate) verdict: String,
    /// The rule that decides; missing if none matches, or none that could deny it.
    pub(crate) by: Option<String>,
    /// What the client gets.
    pub(crate) told: String,
}
