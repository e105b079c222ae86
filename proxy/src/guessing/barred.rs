//! Whom operators have banned: few or many networks and names, each of which may end by itself.

use ipnet::IpNet;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{PoisonError, RwLock};
use usher_backends::bans::{Ban, Banned};
use usher_backends::roster::now;

/// The bans of operators.
#[derive(Default)]
pub(super) struct Barred(RwLock<Lists>);

#[derive(Default)]
struct Lists {
    /// Until when: in seconds since 1970, or for good.
    networks: HashMap<IpNet, Option<i64>>,
    users: HashMap<String, Option<i64>>,
}

/// Until when somebody is banned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Until(pub(super) Option<i64>);

impl Barred {
    pub(super) fn put(&self, ban: &Ban) {
        let mut lists = self.0.write().unwrap_or_else(PoisonError::into_inner);
        match &ban.whose {
            Banned::Source(network) => lists.networks.insert(*network, ban.until),
            Banned::User(user) => lists.users.insert(user.clone(), ban.until),
            // No operator can make one.
            Banned::UserAt(..) => None,
        };
    }

    pub(super) fn remove(&self, whose: &Banned) {
        let mut lists = self.0.write().unwrap_or_else(PoisonError::into_inner);
        match whose {
            Banned::Source(network) => lists.networks.remove(network),
            Banned::User(user) => lists.users.remove(user),
            Banned::UserAt(..) => None,
        };
    }

    /// Until when everybody is banned who comes from `address`, if that is so.
    pub(super) fn source(&self, address: IpAddr) -> Option<Until> {
        let lists = self.0.read().unwrap_or_else(PoisonError::into_inner);
        if lists.networks.is_empty() {
            return None;
        }
        let address = address.to_canonical();
        let all = IpNet::from(address);
        let mut wider = (0..=all.max_prefix_len()).rev();
        wider.find_map(|length| {
            let network = IpNet::new(address, length).ok()?.trunc();
            lists.networks.get(&network).and_then(|until| in_force(*until))
        })
    }

    /// Until when logins of one of `users` are banned, if that is so.
    pub(super) fn any_user<'u, U>(&self, users: impl FnOnce() -> U) -> Option<Until>
    where
        U: Iterator<Item = &'u str>,
    {
        let lists = self.0.read().unwrap_or_else(PoisonError::into_inner);
        if lists.users.is_empty() {
            return None;
        }
        users().find_map(|user| lists.users.get(user).and_then(|until| in_force(*until)))
    }

    /// All that are in force.
    pub(super) fn all(&self) -> Vec<Banned> {
        let lists = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let networks = lists.networks.keys().map(|network| Banned::Source(*network));
        networks.chain(lists.users.keys().map(|user| Banned::User(user.clone()))).collect()
    }

    /// Forgets those that are over.
    pub(super) fn tidy_up(&self) {
        let mut lists = self.0.write().unwrap_or_else(PoisonError::into_inner);
        lists.networks.retain(|_, until| in_force(*until).is_some());
        lists.users.retain(|_, until| in_force(*until).is_some());
    }
}

fn in_force(until: Option<i64>) -> Option<Until> {
    until.is_none_or(|until| until > now()).then_some(Until(until))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_bans_those_in_it() {
        let barred = Barred::default();
        let ban = |network: &str, until| Ban {
            whose: Banned::Source(network.parse().unwrap()),
            since: 0,
            until,
            by: Some("root".to_owned()),
            why: String::new(),
        };
        for (network, until) in
            [("192.0.2.0/24", None), ("198.51.100.7/32", Some(1)), ("2001:db8::/32", Some(i64::MAX))]
        {
            barred.put(&ban(network, until));
        }
        let is_banned = |address: &str| barred.source(address.parse().unwrap()).is_some();
        assert!(is_banned("192.0.2.200") && is_banned("::ffff:192.0.2.1") && is_banned("2001:db8:9::1"));
        assert!(!is_banned("192.0.3.1") && !is_banned("198.51.100.7") && !is_banned("2001:db9::"));
        barred.remove(&Banned::Source("192.0.2.0/24".parse().unwrap()));
        assert!(!is_banned("192.0.2.200"));
    }
}
