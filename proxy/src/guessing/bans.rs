//! Bans as operators make, list and end them.

use super::Guessing;
use super::who::{is_at, is_of_user, mark};
use ipnet::IpNet;
use usher_backends::bans::{Ban, BanChange, Banned};
use usher_backends::roster::now;
use usher_backends::store::StoreError;
use usher_policy::guessing::{Source, home};

/// What the end of a ban has come to.
pub(crate) struct Unbanned {
    /// The bans that have been ended.
    pub(crate) ended: Vec<Ban>,
    /// Those that still hold for the same address, because they are of a wider network.
    pub(crate) left: Vec<Ban>,
}

impl Guessing {
    /// Puts a ban into force that is on the disk.
    pub(super) fn apply(&self, ban: &Ban) {
        match (&ban.by, ban.until) {
            (Some(_), _) | (None, None) => self.barred.put(ban),
            (None, Some(until)) => {
                let Some(mark) = mark(&self.marker, &ban.whose) else { return };
                let seconds = u32::try_from(until).unwrap_or(u32::MAX);
                self.table.with(&mark, super::moment(), |record| record.ban(seconds));
            }
        }
    }

    /// Puts into force what another process has written to the disk. What it has ended there holds here until it is over.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(crate) fn look(&self) -> Result<(), StoreError> {
        self.bans()?.iter().for_each(|ban| self.apply(ban));
        Ok(())
    }

    /// Bans somebody, on the disk too.
    ///
    /// # Errors
    /// Why it cannot be written; then it is not in force.
    pub(crate) async fn ban(&self, ban: Ban) -> Result<(), String> {
        self.ledger.write(BanChange::Put(ban.clone())).await?;
        self.apply(&ban);
        Ok(())
    }

    /// All bans that are in force.
    ///
    /// # Errors
    /// When they cannot be read.
    pub(crate) fn bans(&self) -> Result<Vec<Ban>, StoreError> {
        self.ledger.all(now())
    }

    /// How many are in force, by whose; none if they cannot be read.
    pub(crate) fn count_bans(&self) -> [(&'static str, usize); 3] {
        let bans = self.bans().unwrap_or_default();
        ["source", "user", "user-at"]
            .map(|kind| (kind, bans.iter().filter(|ban| ban.whose.kind() == kind).count()))
    }

    /// Ends the bans of somebody or of a network, and forgets what has failed there.
    ///
    /// # Errors
    /// Why it cannot be written; then they are still in force.
    pub(crate) async fn unban(&self, whose: &Banned) -> Result<Unbanned, String> {
        let all = self.bans().map_err(|error| error.to_string())?;
        let (ended, rest): (Vec<Ban>, Vec<Ban>) =
            all.into_iter().partition(|ban| is_meant(whose, &ban.whose));
        for ban in &ended {
            self.ledger.write(BanChange::Remove(ban.whose.clone())).await?;
            self.forget(&ban.whose);
        }
        let barred = self.barred.all();
        barred.iter().filter(|banned| is_meant(whose, banned)).for_each(|banned| self.barred.remove(banned));
        self.forget(whose);
        let left = rest.into_iter().filter(|ban| match (whose, &ban.whose) {
            (Banned::Source(asked), Banned::Source(wider)) => wider.contains(asked),
            _ => false,
        });
        Ok(Unbanned { left: left.collect(), ended })
    }

    /// Forgets what has failed.
    fn forget(&self, whose: &Banned) {
        match whose {
            Banned::User(user) => self.table.forget_if(is_of_user(&self.marker, user)),
            Banned::UserAt(..) => {
                mark(&self.marker, whose).iter().for_each(|mark| self.table.forget(mark));
            }
            Banned::Source(network) => {
                let is_alone = network.prefix_len() == network.max_prefix_len();
                if is_alone {
                    Source::all_of(network.addr()).for_each(|source| self.table.forget(&source.mark()));
                    self.table.forget_if(is_at(&self.marker, &home(network.addr())));
                } else {
                    let is_inside = |source: Source| network.contains(&source.network);
                    self.table.forget_if(|mark| Source::marked(*mark).is_some_and(is_inside));
                }
            }
        }
    }
}

/// Whether whoever ends the bans of `whose` means this one.
fn is_meant(whose: &Banned, banned: &Banned) -> bool {
    // An address belongs to the prefixes that failures are counted by.
    let has = |network: &IpNet, other: &IpNet| {
        let is_alone = network.prefix_len() == network.max_prefix_len();
        network.contains(other) || is_alone && Source::all_of(network.addr()).any(|it| it.network == *other)
    };
    match (whose, banned) {
        (Banned::User(user), Banned::User(other) | Banned::UserAt(other, _)) => user == other,
        (Banned::Source(network), Banned::Source(other) | Banned::UserAt(_, other)) => has(network, other),
        _ => whose == banned,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_ends_a_ban_means_those_inside() {
        let source = |network: &str| Banned::Source(network.parse().unwrap());
        let anna = || "anna@example.com".to_owned();
        let at = |network: &str| Banned::UserAt(anna(), network.parse().unwrap());
        for (whose, banned, meant) in [
            (source("192.0.2.7/32"), source("192.0.2.7/32"), true),
            (source("192.0.2.7/32"), source("192.0.2.0/24"), false),
            (source("192.0.2.0/24"), source("192.0.2.7/32"), true),
            (source("192.0.2.0/24"), at("192.0.2.7/32"), true),
            (source("2001:db8::1/128"), source("2001:db8::/64"), true),
            (source("2001:db8::1/128"), source("2001:db8::/48"), true),
            (source("2001:db8::1/128"), source("2001:db8::/32"), false),
            (Banned::User(anna()), at("192.0.2.7/32"), true),
            (Banned::User(anna()), Banned::User("ben@example.com".to_owned()), false),
        ] {
            assert_eq!(is_meant(&whose, &banned), meant, "{whose} {banned}");
        }
    }
}
