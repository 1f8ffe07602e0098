//! `NO_PROXY`: which hosts are reached without a proxy, by curl's rules.

use std::net::IpAddr;

/// Whether the list names this host. Its parts are separated by commas or blanks: `*` alone for
/// all, a name for itself and its subdomains (with or without a dot in front), an address, or a
/// network of addresses (`10.0.0.0/8`). A port is no part of it.
pub(super) fn is_exempt(host: &str, list: &str) -> bool {
    if list == "*" {
        return true;
    }
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    let mut parts = list.split([',', ' ', '\t']).filter(|part| !part.is_empty());
    match address {
        Ok(address) => parts.any(|network| is_in(address, network)),
        Err(_) => parts.any(|name| is_under(host, name)),
    }
}

fn is_under(host: &str, name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    let name = name.strip_prefix('.').unwrap_or(name);
    let Some(rest) = host.len().checked_sub(name.len()) else {
        return false;
    };
    // Both are compared as bytes: the list may hold anything.
    let (before, end) = host.as_bytes().split_at(rest);
    !name.is_empty()
        && end.eq_ignore_ascii_case(name.as_bytes())
        && (before.is_empty() || before.ends_with(b"."))
}

fn is_in(address: IpAddr, network: &str) -> bool {
    let (network, bits) = match network.split_once('/') {
        Some((network, bits)) => match bits.parse::<u32>() {
            Ok(bits) => (network, bits),
            Err(_) => return false,
        },
        None => (network, 0),
    };
    // No bits at all mean the one address, as for curl.
    match (address, network.parse()) {
        (IpAddr::V4(address), Ok(IpAddr::V4(network))) => {
            let bits = if bits == 0 { 32 } else { bits };
            bits <= 32 && (u32::from(address) ^ u32::from(network)) >> (32 - bits) == 0
        }
        (IpAddr::V6(address), Ok(IpAddr::V6(network))) => {
            let bits = if bits == 0 { 128 } else { bits };
            bits <= 128 && (u128::from(address) ^ u128::from(network)) >> (128 - bits) == 0
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_is_told_by_its_first_bits() {
        for (address, list, expected) in [
            ("10.1.2.3", "10.0.0.0/8", true),
            ("11.1.2.3", "10.0.0.0/8", false),
            ("10.1.2.3", "10.1.2.2/31", true),
            ("10.1.2.3", "10.1.2.2/33", false),
            ("10.1.2.3", "10.1.2.3/-1", false),
            ("[fd00::1]", "fd00::/8", true),
            ("[fc00::1]", "fd00::/8", false),
            ("[fd00:0:0:1::1]", "fd00::/61", true),
            ("[fd00:0:0:8::1]", "fd00::/61", false),
            ("[fd00::1]", "fd00::1/128", true),
            ("[fd00::1]", "fd00::1/129", false),
            ("10.1.2.3", "::/0", false),
        ] {
            assert_eq!(is_exempt(address, list), expected, "{address} in {list}");
        }
    }
}
