//! Where a login comes from, as failures are counted.

use ipnet::{IpNet, Ipv6Net};
use std::net::IpAddr;

/// What failures are counted by, in a form of one length.
pub type Mark = [u8; 16];

/// Prefixes of IPv6 addresses by which failures are counted, and how many times as many it takes there: a provider may give
/// one customer any of them, and one of the wider ones to many.
const PREFIXES: [(u8, u32); 3] = [(64, 1), (56, 2), (48, 4)];

/// A part of the address space whose failures are counted together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Source {
    /// Which.
    pub network: IpNet,
    /// How many times as many failures it takes.
    pub factor: u32,
}

impl Source {
    /// Those that `address` belongs to: an IPv4 address alone, and three prefixes of an IPv6 address, the narrowest first.
    pub fn all_of(address: IpAddr) -> impl Iterator<Item = Self> {
        let prefixes = match address.to_canonical() {
            IpAddr::V4(_) => &[(32, 1)][..],
            IpAddr::V6(_) => &PREFIXES[..],
        };
        prefixes
            .iter()
            .map(move |&(length, factor)| Self { network: prefix(address.to_canonical(), length), factor })
    }

    /// It in a form of one length: no prefix has anything in the last bytes, where an IPv4 address has its own.
    pub fn mark(&self) -> Mark {
        let mut mark = match self.network.network() {
            IpAddr::V4(address) => return address.to_ipv6_mapped().octets(),
            IpAddr::V6(address) => address.octets(),
        };
        mark[15] = self.network.prefix_len();
        mark
    }

    /// The one that has this mark; `None` if it is not of one.
    pub fn marked(mark: Mark) -> Option<Self> {
        let address = std::net::Ipv6Addr::from(mark);
        if let Some(address) = address.to_ipv4_mapped() {
            return Some(Self { network: IpNet::from(IpAddr::V4(address)), factor: 1 });
        }
        let (length, factor) = PREFIXES.into_iter().find(|(length, _)| *length == mark[15])?;
        let source = Self { network: prefix(IpAddr::V6(address), length), factor };
        (source.mark() == mark).then_some(source)
    }
}

/// Where somebody is at home who comes from `address`: it alone, or its IPv6 network of 64 bits, in which clients change
/// their address all the time.
pub fn home(address: IpAddr) -> IpNet {
    match address.to_canonical() {
        v4 @ IpAddr::V4(_) => IpNet::from(v4),
        v6 @ IpAddr::V6(_) => prefix(v6, 64),
    }
}

fn prefix(address: IpAddr, length: u8) -> IpNet {
    match address {
        IpAddr::V6(v6) => Ipv6Net::new(v6, length).map_or_else(|_| address.into(), |net| net.trunc().into()),
        IpAddr::V4(_) => address.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_counts_for_itself_or_for_its_prefixes() {
        let shown = |address: &str| -> Vec<String> {
            Source::all_of(address.parse().unwrap()).map(|source| source.network.to_string()).collect()
        };
        assert_eq!(shown("192.0.2.7"), ["192.0.2.7/32"]);
        assert_eq!(shown("::ffff:192.0.2.7"), ["192.0.2.7/32"]);
        assert_eq!(
            shown("2001:db8:1:2345:6:7:8:9"),
            ["2001:db8:1:2345::/64", "2001:db8:1:2300::/56", "2001:db8:1::/48"]
        );
        for address in ["192.0.2.7", "2001:db8:1:2345::1", "2001:db8::", "::"] {
            for source in Source::all_of(address.parse().unwrap()) {
                assert_eq!(Source::marked(source.mark()), Some(source));
            }
        }
        assert_eq!(Source::marked([7; 16]), None);
    }
}
