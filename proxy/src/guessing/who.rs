//! Who logs in, as failures are counted, and by which marks.

use super::marker::{Half, Marker};
use ipnet::IpNet;
use std::net::SocketAddr;
use usher_backends::bans::Banned;
use usher_config::snapshot::Protocol;
use usher_policy::guessing::{Mark, Source, home};

/// Somebody who logs in, unproven.
#[derive(Debug, Clone)]
pub(crate) struct Who {
    pub(crate) protocol: Protocol,
    pub(crate) client: SocketAddr,
    /// The key of the archive, by which operators may have banned it.
    pub(crate) key: String,
    /// Whom the login names: whose archive it is and, if somebody else opens it, who that is; each once.
    pub(crate) users: Vec<String>,
    /// By a token, which nobody guesses: one that has expired comes from somebody who had it.
    pub(crate) has_token: bool,
}

/// Something that failures are counted by.
#[derive(Debug, Clone)]
pub(super) struct Marked {
    pub(super) mark: Mark,
    pub(super) whose: Banned,
    /// How many times as many failures it takes.
    pub(super) factor: u32,
}

impl Marked {
    /// A word of a closed set, for metrics.
    pub(super) fn kind(&self) -> &'static str {
        match self.whose {
            Banned::Source(_) => "source",
            Banned::User(_) => "user",
            Banned::UserAt(..) => "known",
        }
    }
}

fn whole(first: Half, second: Half) -> Mark {
    let mut mark = Mark::default();
    mark[..8].copy_from_slice(&first);
    mark[8..].copy_from_slice(&second);
    mark
}

/// The mark of somebody, of a place, or of both.
pub(super) fn mark(marker: &Marker, whose: &Banned) -> Option<Mark> {
    match whose {
        Banned::Source(network) => {
            let mut sources = Source::all_of(network.addr());
            sources.find(|source| source.network == *network).map(|source| source.mark())
        }
        // No source's mark ends like this.
        Banned::User(user) => Some(whole(marker.user(user), [0xff; 8])),
        Banned::UserAt(user, network) => Some(whole(marker.user(user), marker.home(network))),
    }
}

/// Whether a mark is of `user`, somewhere or everywhere.
pub(super) fn is_of_user(marker: &Marker, user: &str) -> impl Fn(&Mark) -> bool {
    let half = marker.user(user);
    move |mark| mark[..8] == half
}

/// Whether a mark is of somebody at `home`.
pub(super) fn is_at(marker: &Marker, home: &IpNet) -> impl Fn(&Mark) -> bool {
    let half = marker.home(home);
    move |mark| mark[8..] == half
}

impl Who {
    /// Everybody whom they name, at home.
    pub(super) fn at_home(&self, marker: &Marker) -> Vec<Marked> {
        let home = home(self.client.ip());
        let place = marker.home(&home);
        let at_home = |user: &String| Marked {
            mark: whole(marker.user(user), place),
            whose: Banned::UserAt(user.clone(), home),
            factor: 1,
        };
        self.users.iter().map(at_home).collect()
    }

    /// Where they come from, and whom they name.
    pub(super) fn elsewhere(&self, marker: &Marker) -> Vec<Marked> {
        let sources = Source::all_of(self.client.ip()).map(|source| Marked {
            mark: source.mark(),
            whose: Banned::Source(source.network),
            factor: source.factor,
        });
        let of_user = |user: &String| Marked {
            mark: whole(marker.user(user), [0xff; 8]),
            whose: Banned::User(user.clone()),
            factor: 1,
        };
        sources.chain(self.users.iter().map(of_user)).collect()
    }
}
