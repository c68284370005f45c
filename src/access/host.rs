//! Hosts: their normal form, and the applications by host.

use std::borrow::Cow;
use std::collections::HashMap;
use std::net::{Ipv4Addr, Ipv6Addr};

use super::AccessError;
use crate::identity::SettingPath;

/// The applications by host. A look-up takes one step for each label of the host, however many applications there are.
#[derive(Clone, Debug, Default)]
pub(super) struct HostIndex {
    exact: HashMap<String, usize>,
    /// By the part behind `*.`.
    below: HashMap<String, usize>,
}

impl HostIndex {
    /// Adds a host of an application.
    ///
    /// # Errors
    /// An [`AccessError`] of a host that is written as no client sends it, and of one that another application has.
    pub(super) fn add(
        &mut self,
        written: &str,
        application: usize,
        setting: SettingPath,
    ) -> Result<(), AccessError> {
        let (name, hosts) = match written.strip_prefix("*.") {
            Some(name) => (name, &mut self.below),
            None => (written, &mut self.exact),
        };
        let Some(host) = parse(name) else {
            if let Ok(address) = name.parse::<Ipv6Addr>() {
                let reason = format!("`{written}`: an IPv6 address stands in brackets in a request");
                return Err(AccessError::with_remedy(setting, reason, format!("write `[{address}]`")));
            }
            let reason = format!("`{written}` is no host, such as `wiki.example.com` or `*.example.com`");
            return Err(AccessError::with_remedy(setting, reason, "write it without scheme, port and path"));
        };
        if written != name && (host.starts_with('[') || host.parse::<Ipv4Addr>().is_ok()) {
            let reason = format!("`{written}`: an address has no hosts below it");
            return Err(AccessError::with_remedy(setting, reason, format!("write `{host}`")));
        }
        match hosts.insert(host.into_owned(), application) {
            Some(_) => Err(AccessError::with_remedy(
                setting,
                format!("`{written}` is written twice, and a host belongs to one application"),
                "write all rules of a host in one [[application]]",
            )),
            None => Ok(()),
        }
    }

    /// Returns the application of a host in normal form: the one that names it, else the one with the longest
    /// `*.` above it.
    pub(super) fn get(&self, host: &str) -> Option<usize> {
        if let Some(application) = self.exact.get(host) {
            return Some(*application);
        }
        let mut rest = host;
        while let Some((_, above)) = rest.split_once('.') {
            if let Some(application) = self.below.get(above) {
                return Some(*application);
            }
            rest = above;
        }
        None
    }
}

/// Returns a host of a request in normal form: without the port and a final dot, in lower case. `None` for what is no
/// host name, IPv4 address or IPv6 address in brackets.
pub(super) fn of_request(host: &str) -> Option<Cow<'_, str>> {
    let name = match host.strip_prefix('[') {
        Some(_) => &host[..=host.find(']')?],
        None => host.split(':').next().unwrap_or_default(),
    };
    let port = &host[name.len()..];
    let is_port =
        port.strip_prefix(':').is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
    if !port.is_empty() && !is_port {
        return None;
    }
    parse(name)
}

/// Parses a host without a port. Names beyond ASCII have the form that clients send (`xn--…`) only.
fn parse(name: &str) -> Option<Cow<'_, str>> {
    if let Some(address) = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')) {
        let address: Ipv6Addr = address.parse().ok()?;
        return Some(Cow::Owned(format!("[{address}]")));
    }
    let name = name.strip_suffix('.').unwrap_or(name);
    let is_label = |label: &str| {
        !label.is_empty()
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    if name.len() > 253 || !name.split('.').all(is_label) {
        return None;
    }
    Some(match name.bytes().any(|byte| byte.is_ascii_uppercase()) {
        true => Cow::Owned(name.to_ascii_lowercase()),
        false => Cow::Borrowed(name),
    })
}

#[cfg(test)]
mod tests {
    use super::{HostIndex, of_request};
    use crate::identity::SettingPath;

    // attack: access.host
    #[test]
    fn hosts_of_requests_have_one_form() {
        for (sent, host) in [
            ("wiki.example.com", Some("wiki.example.com")),
            ("WIKI.Example.com.:8443", Some("wiki.example.com")),
            ("wiki.example.com:", Some("wiki.example.com")),
            ("127.0.0.1:80", Some("127.0.0.1")),
            ("[::1]:80", Some("[::1]")),
            ("[0:0::1]", Some("[::1]")),
            ("", None),
            (".", None),
            ("..", None),
            ("wiki.example.com..", None),
            ("wiki.example.com, other.example.com", None),
            ("user@wiki.example.com", None),
            ("wiki.example.com/x", None),
            ("wiki.example.com:80x", None),
            ("wiki%2eexample.com", None),
            ("wikı.example.com", None),
            ("[::1", None),
            ("[::1]x", None),
            ("[wiki.example.com]", None),
        ] {
            assert_eq!(of_request(sent).as_deref(), host, "{sent}");
        }
    }

    #[test]
    fn the_longest_name_wins() {
        let mut index = HostIndex::default();
        let hosts = ["*.example.com", "wiki.example.com", "*.wiki.example.com", "example.com", "localhost"];
        for (application, host) in hosts.into_iter().enumerate() {
            assert_eq!(index.add(host, application, SettingPath::default()), Ok(()));
        }
        for (host, application) in [
            ("wiki.example.com", Some(1)),
            ("a.wiki.example.com", Some(2)),
            ("a.b.wiki.example.com", Some(2)),
            ("mail.example.com", Some(0)),
            ("example.com", Some(3)),
            ("badexample.com", None),
            ("com", None),
            ("localhost", Some(4)),
        ] {
            assert_eq!(index.get(host), application, "{host}");
        }
        for refused in
            ["Wiki.Example.com.", "https://a.example.com", "a.example.com:443", "*", "*.127.0.0.1", "a*.x"]
        {
            assert!(index.add(refused, 9, SettingPath::default()).is_err(), "{refused}");
        }
    }
}
