//! The address of the client behind trusted proxies.

use std::net::{IpAddr, SocketAddr};

use axum::http::HeaderMap;
use ipnet::IpNet;

/// Returns the client's address: the peer's or, if the peer is a trusted proxy, the last address of
/// `X-Forwarded-For` that is not one. Entries before it are the client's own text and are ignored. An entry that is
/// no address ends the search at the proxy that wrote it.
pub(crate) fn of(peer: SocketAddr, headers: &HeaderMap, proxies: &[IpNet]) -> IpAddr {
    let mut address = peer.ip().to_canonical();
    let values: Vec<_> = headers.get_all("x-forwarded-for").iter().collect();
    // The bytes, not the text: one that is not ASCII must not hide the entries beside it.
    let entries = values.iter().rev().flat_map(|value| value.as_bytes().rsplit(|byte| *byte == b','));
    for entry in entries {
        if !proxies.iter().any(|network| network.contains(&address)) {
            break;
        }
        let Some(next) = std::str::from_utf8(entry).ok().and_then(|entry| parse(entry.trim())) else { break };
        address = next.to_canonical();
    }
    address
}

/// Parses an address with or without a port.
fn parse(entry: &str) -> Option<IpAddr> {
    let bracketed = || entry.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    let with_port = || entry.parse::<SocketAddr>().ok().map(|address| address.ip());
    entry.parse().ok().or_else(with_port).or_else(bracketed)
}

/// Reports whether the headers say that a proxy forwarded the request.
pub(crate) fn is_forwarded(headers: &HeaderMap) -> bool {
    ["forwarded", "x-forwarded-for", "x-real-ip", "via"].into_iter().any(|name| headers.contains_key(name))
}

/// Returns the address that attempts are counted by: for IPv6 the /56 network, which providers give to one
/// subscriber. In 64:ff9b::/96 it is the IPv4 address: a translator before a network without IPv4 shows all IPv4 clients
/// there (RFC 6052 §2.1, RFC 7755).
pub(crate) fn subscriber(address: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = address else { return address };
    match v6.segments() {
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
            let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
            IpAddr::from([a, b, c, d])
        }
        [a, b, c, d, ..] => IpAddr::V6([a, b, c, d & 0xff00, 0, 0, 0, 0].into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // attack: password.stuffing
    #[test]
    fn only_named_proxies_are_believed() {
        let headers = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("x-forwarded-for", value.parse().expect("a header"));
            headers
        };
        let peer: SocketAddr = "10.0.0.1:9".parse().expect("an address");
        let proxies = ["10.0.0.0/8".parse().expect("a network")];
        let of = |value: &str, proxies: &[IpNet]| super::of(peer, &headers(value), proxies).to_string();
        assert_eq!(of("1.2.3.4", &[]), "10.0.0.1");
        assert_eq!(of("1.2.3.4", &proxies), "1.2.3.4");
        assert_eq!(of("9.9.9.9, 1.2.3.4, 10.0.0.2", &proxies), "1.2.3.4");
        assert_eq!(of("9.9.9.9, nonsense", &proxies), "10.0.0.1");
        assert_eq!(of("9.9.9.9:80, 1.2.3.4:5678", &proxies), "1.2.3.4");
        assert_eq!(of("[2001:db8::1]:5678", &proxies), "2001:db8::1");
        assert_eq!(of("[2001:db8::1]", &proxies), "2001:db8::1");
        let subscriber = |text: &str| subscriber(text.parse().expect("v6")).to_string();
        assert_eq!(subscriber("2001:db8::1"), "2001:db8::");
        assert_eq!(subscriber("2001:db8:0:12ff::1"), "2001:db8:0:1200::");
        assert_eq!(subscriber("64:ff9b::198.51.100.7"), "198.51.100.7");
        assert_eq!(subscriber("64:ff9b:1::198.51.100.7"), "64:ff9b:1::");
    }

    /// A client that sends a byte beyond ASCII hides neither the address that the proxy appends nor those of
    /// other lines.
    #[test]
    fn a_byte_beyond_ascii_hides_no_address() {
        let peer: SocketAddr = "10.0.0.1:9".parse().expect("an address");
        let proxies = ["10.0.0.0/8".parse().expect("a network")];
        let mut headers = HeaderMap::new();
        let value = |bytes: &[u8]| axum::http::HeaderValue::from_bytes(bytes).expect("a header");
        headers.insert("x-forwarded-for", value(b"\xff, 203.0.113.7"));
        assert_eq!(of(peer, &headers, &proxies).to_string(), "203.0.113.7");
        headers.append("x-forwarded-for", value(b"10.0.0.2"));
        assert_eq!(of(peer, &headers, &proxies).to_string(), "203.0.113.7");
    }
}
