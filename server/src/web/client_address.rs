//! Whose address a request comes from, behind proxies that were named and no others.

use std::net::{IpAddr, SocketAddr};

use axum::http::HeaderMap;
use ipnet::IpNet;

/// The client's address: the peer's, or, where the peer is a trusted proxy, the last address of
/// `X-Forwarded-For` that is none. What a stranger writes there counts for nothing.
pub(crate) fn of(peer: SocketAddr, headers: &HeaderMap, proxies: &[IpNet]) -> IpAddr {
    let mut address = peer.ip().to_canonical();
    let trusted = |address: &IpAddr| proxies.iter().any(|network| network.contains(address));
    let forwarded: Vec<&str> = headers
        .get_all("x-forwarded-for")
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .collect();
    for entry in forwarded.into_iter().rev() {
        if !trusted(&address) {
            break;
        }
        let Ok(next) = entry.trim().parse::<IpAddr>() else { break };
        address = next.to_canonical();
    }
    address
}

/// Whether a proxy says that it passes the request on for somebody else.
pub(crate) fn is_forwarded(headers: &HeaderMap) -> bool {
    ["forwarded", "x-forwarded-for", "x-real-ip", "via"].into_iter().any(|name| headers.contains_key(name))
}

/// What attempts are counted by: the address, or its /64, which one subscriber owns.
pub(crate) fn counted(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6([a, b, c, d, 0, 0, 0, 0].into())
        }
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
        assert_eq!(counted("2001:db8::1".parse().expect("v6")).to_string(), "2001:db8::");
    }
}
