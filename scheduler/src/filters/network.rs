//! Networks and addresses.

use std::net::IpAddr;
use std::str::FromStr;

use crate::python::{integer, strip};

/// An IP network such as `10.0.0.0/24`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Network {
    address: IpAddr,
    /// Bits that addresses in the network share.
    prefix: u32,
}

/// The text is not a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct InvalidNetwork;

impl Network {
    /// Whether the address is in the network.
    pub(super) fn contains(&self, address: IpAddr) -> bool {
        let same_family = self.address.is_ipv4() == address.is_ipv4();
        same_family && mask(self.address, self.prefix) == mask(address, self.prefix)
    }
}

impl FromStr for Network {
    type Err = InvalidNetwork;

    fn from_str(text: &str) -> Result<Self, InvalidNetwork> {
        let (address, prefix) =
            text.split_once('/').map_or((text, None), |(address, prefix)| (address, Some(prefix)));
        let address: IpAddr = address.parse().map_err(|_| InvalidNetwork)?;
        let prefix = prefix.map_or(Some(width(address)), |prefix| read_prefix(address, prefix));
        Ok(Self { address, prefix: prefix.ok_or(InvalidNetwork)? })
    }
}

/// A number of bits, a netmask or a host mask.
fn read_prefix(address: IpAddr, text: &str) -> Option<u32> {
    if let Ok(bits) = integer(text) {
        return u32::try_from(bits).ok().filter(|bits| *bits <= width(address));
    }
    let mask: IpAddr =
        strip(text).parse().ok().filter(|mask: &IpAddr| mask.is_ipv4() == address.is_ipv4())?;
    let unused = 128 - width(address);
    let bits = bits(mask) << unused;
    let (ones, host_mask) = (bits.leading_ones(), (!bits >> unused << unused).leading_ones());
    if bits == leading(ones) {
        Some(ones)
    } else {
        (!bits >> unused << unused == leading(host_mask)).then_some(host_mask)
    }
}

const fn width(address: IpAddr) -> u32 {
    if address.is_ipv4() { 32 } else { 128 }
}

fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(address.to_bits()),
        IpAddr::V6(address) => address.to_bits(),
    }
}

/// As many ones, then zeros.
const fn leading(ones: u32) -> u128 {
    if ones == 0 { 0 } else { u128::MAX << (128 - ones) }
}

fn mask(address: IpAddr, prefix: u32) -> u128 {
    (bits(address) << (128 - width(address))) & leading(prefix)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(network: &str, address: &str) -> Option<bool> {
        Some(network.parse::<Network>().ok()?.contains(address.parse().ok()?))
    }

    #[test]
    fn prefixes_and_masks() {
        assert_eq!(holds("10.0.0.1/24", "10.0.0.200"), Some(true));
        assert_eq!(holds("10.0.0.1/255.255.255.0", "10.0.1.1"), Some(false));
        assert_eq!(holds("10.0.0.1/0.0.0.255", "10.0.0.9"), Some(true));
        assert_eq!(holds("10.0.0.1/0.0.0.0", "192.168.0.1"), Some(true));
        assert_eq!(holds("10.0.0.1/ +1_6 ", "10.0.9.9"), Some(true));
        assert_eq!(holds("10.0.0.1", "10.0.0.2"), Some(false));
        assert_eq!(holds("fe80::1/ffff::", "fe80:1::"), Some(true));
        assert_eq!(holds("10.0.0.1/8", "::1"), Some(false));
    }

    #[test]
    fn what_is_no_network() {
        for bad in [
            "10.0/8",
            "10.0.0.1/33",
            "10.0.0.1/",
            "10.0.0.1/-1",
            "010.0.0.1/8",
            "/24",
            "1.2.3.4/24/3",
            "10.0.0.1/255.0.255.0",
            "10.0.0.1/::1",
            " 10.0.0.1/24",
        ] {
            assert_eq!(bad.parse::<Network>(), Err(InvalidNetwork), "{bad}");
        }
    }
}
