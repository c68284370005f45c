//! The address of the client behind trusted proxies.

use std::net::{IpAddr, SocketAddr};

use axum::http::HeaderMap;
use ipnet::IpNet;

/// Returns the client's address: the peer's or, if the peer is a trusted proxy, the last address of
/// `X-Forwarded-For` that is not one. Addresses before it are the client's own text and are ignored.
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

/// Reports whether the headers say that a proxy forwarded the request.
pub(crate) fn is_forwarded(headers: &HeaderMap) -> bool {
    ["forwarded", "x-forwarded-for", "x-real-ip", "via"].into_iter().any(|name| headers.contains_key(name))
}

/// Returns the address that attempts are counted by: for IPv6 the /64 network, which one subscriber owns.
pub(crate) fn subscriber(address: IpAddr) -> IpAddr {
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
        assert_eq!(subscriber("2001:db8::1".parse().expect("v6")).to_string(), "2001:db8::");
    }
}
