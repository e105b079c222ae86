//! Ranges of addresses and ports.

use ipnet::{IpNet, IpSubnets, Ipv4Subnets, Ipv6Subnets};
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// One address, a network, or everything from one address to another, of one family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AddressRange {
    first: IpAddr,
    last: IpAddr,
}

impl AddressRange {
    /// Whether `address` is in it. An IPv4 address in its IPv6 form is an IPv4 address.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.first.is_ipv4() == address.is_ipv4() && self.first <= address && address <= self.last
    }

    /// The networks that it consists of.
    pub(super) fn networks(&self) -> IpSubnets {
        match (self.first, self.last) {
            (IpAddr::V4(first), IpAddr::V4(last)) => IpSubnets::V4(Ipv4Subnets::new(first, last, 0)),
            (IpAddr::V6(first), IpAddr::V6(last)) => IpSubnets::V6(Ipv6Subnets::new(first, last, 0)),
            // `from_str` makes no such range.
            (IpAddr::V4(first), IpAddr::V6(_)) => IpSubnets::V4(Ipv4Subnets::new(first, first, 0)),
            (IpAddr::V6(first), IpAddr::V4(_)) => IpSubnets::V6(Ipv6Subnets::new(first, first, 0)),
        }
    }
}

/// What is not a range of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotARange;

impl FromStr for AddressRange {
    type Err = NotARange;

    /// Reads `192.0.2.7`, `192.0.2.0/24` or `192.0.2.7-192.0.2.20`; IPv6 likewise.
    fn from_str(text: &str) -> Result<Self, NotARange> {
        let address = |text: &str| text.trim().parse::<IpAddr>().map(|ip| ip.to_canonical());
        if let Ok(one) = address(text) {
            return Ok(Self { first: one, last: one });
        }
        if let Ok(network) = text.parse::<IpNet>() {
            let (first, last) = (network.network(), network.broadcast());
            // Perhaps IPv4 addresses in their IPv6 form, `::ffff:192.0.2.0/120`.
            return Ok(match (first.to_canonical(), last.to_canonical()) {
                (first @ IpAddr::V4(_), last @ IpAddr::V4(_)) => Self { first, last },
                _ => Self { first, last },
            });
        }
        let (first, last) = text.split_once('-').ok_or(NotARange)?;
        let range = (address(first), address(last));
        let (Ok(first), Ok(last)) = range else { return Err(NotARange) };
        (first.is_ipv4() == last.is_ipv4() && first <= last).then_some(Self { first, last }).ok_or(NotARange)
    }
}

impl fmt::Display for AddressRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut networks = self.networks();
        match (networks.next(), networks.next()) {
            (Some(one), None) if self.first == self.last => write!(f, "{}", one.addr()),
            (Some(one), None) => write!(f, "{one}"),
            _ => write!(f, "{}-{}", self.first, self.last),
        }
    }
}

/// One port, or everything from one to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PortRange {
    first: u16,
    last: u16,
}

impl PortRange {
    /// Whether `port` is in it.
    pub fn contains(&self, port: u16) -> bool {
        (self.first..=self.last).contains(&port)
    }
}

impl FromStr for PortRange {
    type Err = NotARange;

    /// Reads `1024` or `1024-65535`.
    fn from_str(text: &str) -> Result<Self, NotARange> {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let port = |text: &str| text.trim().parse::<u16>().map_err(|_| NotARange);
        let (first, last) = (port(first)?, port(last)?);
        (first <= last && first > 0).then_some(Self { first, last }).ok_or(NotARange)
    }
}

impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.first == self.last {
            true => write!(f, "{}", self.first),
            false => write!(f, "{}-{}", self.first, self.last),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges() {
        for (written, shown, within, without) in [
            ("192.0.2.7", "192.0.2.7", "::ffff:192.0.2.7", "192.0.2.8"),
            ("192.0.2.9/24", "192.0.2.0/24", "192.0.2.255", "192.0.3.0"),
            ("192.0.2.7-192.0.2.20", "192.0.2.7-192.0.2.20", "192.0.2.20", "192.0.2.21"),
            ("192.0.2.0 - 192.0.2.255", "192.0.2.0/24", "192.0.2.1", "192.0.1.255"),
            ("0.0.0.0/0", "0.0.0.0/0", "255.255.255.255", "::1"),
            ("::/0", "::/0", "2001:db8::1", "192.0.2.1"),
            ("2001:db8::/32", "2001:db8::/32", "2001:db8:ffff::1", "2001:db9::"),
            ("2001:db8::5-2001:db8::9", "2001:db8::5-2001:db8::9", "2001:db8::9", "2001:db8::a"),
            ("::ffff:192.0.2.0/120", "192.0.2.0/24", "192.0.2.77", "::192.0.2.77"),
        ] {
            let range: AddressRange = written.parse().unwrap_or_else(|_| panic!("{written}"));
            assert_eq!(range.to_string(), shown);
            for (address, expected) in [(within, true), (without, false)] {
                let address: IpAddr = address.parse().unwrap_or_else(|_| panic!("{address}"));
                assert_eq!(range.contains(address), expected, "{written} {address}");
                let is_in_one = range.networks().any(|network| network.contains(&address.to_canonical()));
                assert_eq!(is_in_one, expected, "the networks of {written} {address}");
            }
        }
        for wrong in ["", "192.0.2", "192.0.2.9-192.0.2.1", "192.0.2.1-::1", "192.0.2.0/33", "::/1-", "a-b"] {
            assert_eq!(wrong.parse::<AddressRange>(), Err(NotARange), "{wrong}");
        }
        assert!("::/80".parse::<AddressRange>().is_ok(), "it has IPv6 addresses at both ends");
    }

    #[test]
    fn ports() {
        let range: PortRange = "1024-65535".parse().unwrap_or_else(|_| panic!());
        assert!(range.contains(1024) && range.contains(65535) && !range.contains(1023));
        assert_eq!("25".parse::<PortRange>().map(|port| port.to_string()), Ok("25".to_owned()));
        for wrong in ["0", "9-8", "65536", "x", ""] {
            assert_eq!(wrong.parse::<PortRange>(), Err(NotARange), "{wrong}");
        }
    }
}
