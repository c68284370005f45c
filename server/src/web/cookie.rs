//! The cookies: their names, attributes and values.

use std::time::Duration;

use axum::http::header::COOKIE;
use axum::http::{HeaderMap, HeaderValue};
use cookie::{Cookie, SameSite};

use claimgate::oidc::authorization::SIGN_IN_LIFETIME;
use claimgate_config::Server;

/// Most bytes of cookies for pending sign-ins in one browser; beyond this the oldest are deleted. Proxies
/// refuse requests with more than 8 KiB of cookies; a dozen tabs that a browser reopens fit.
const SIGN_IN_BYTES: usize = 6 * 1024;
/// Most of these cookies that one answer deletes. A head holds thousands of names, and each takes a line of the
/// answer.
const MOST_ENDED: usize = 8;

/// The cookies of one deployment.
#[derive(Clone, Debug)]
pub(crate) struct Cookies {
    session: String,
    /// A prefix: each sign-in has its own cookie.
    sign_in: String,
    logout: String,
    administration: String,
    /// The paths below which browsers send the administration's cookie, those of its API and of the console: no
    /// application has them.
    administration_paths: [String; 2],
    secure: bool,
    domain: Option<String>,
}

impl Cookies {
    /// Names the cookies after the URL that browsers see.
    pub(crate) fn new(server: &Server) -> Self {
        let secure = server.public_url.https;
        // `__Host-` keeps a cookie to this host; `__Secure-` lets the hosts of a domain share it.
        let own = if secure { "__Host-" } else { "" };
        let session = match (secure, &server.cookie_domain) {
            (true, Some(_)) => "__Secure-",
            (true, None) => "__Host-",
            (false, _) => "",
        };
        Self {
            session: format!("{session}claimgate"),
            sign_in: format!("{own}claimgate-login-"),
            logout: format!("{own}claimgate-logout"),
            // `__Host-` would need the path `/`.
            administration: format!("{}claimgate-admin", if secure { "__Secure-" } else { "" }),
            administration_paths: ["/api/v1", "/admin"]
                .map(|path| format!("{}{path}", server.public_url.path)),
            secure,
            domain: server.cookie_domain.clone(),
        }
    }

    /// Returns the secret of the session. Two cookies with different values count as none: a sibling host
    /// may have set one of them.
    pub(crate) fn session_secret(&self, headers: &HeaderMap) -> Option<String> {
        let mut found = named(headers, |name| name == self.session).map(|(_, value)| value);
        let first = found.next()?;
        found.all(|other| other == first).then_some(first)
    }

    /// Sets the session's cookie for `lifetime`.
    pub(crate) fn open_session(&self, secret: &str, lifetime: Duration) -> HeaderValue {
        let cookie = Cookie::build((self.session.as_str(), secret));
        self.finish(cookie, Some(lifetime), self.domain.as_deref())
    }

    /// Deletes the session's cookie.
    pub(crate) fn close_session(&self) -> HeaderValue {
        self.finish(Cookie::build((self.session.as_str(), "")), Some(Duration::ZERO), self.domain.as_deref())
    }

    /// Sets the cookie of a pending sign-in: each tab of a browser may have its own.
    pub(crate) fn begin_sign_in(&self, state: &str, sealed: &str) -> HeaderValue {
        self.finish(Cookie::build((self.sign_in_name(state), sealed)), Some(SIGN_IN_LIFETIME), None)
    }

    /// Returns the sealed value of a pending sign-in.
    pub(crate) fn sign_in(&self, headers: &HeaderMap, state: &str) -> Option<String> {
        let name = self.sign_in_name(state);
        named(headers, |other| other == name).next().map(|(_, value)| value)
    }

    /// Deletes the cookie of a sign-in.
    pub(crate) fn end_sign_in(&self, state: &str) -> HeaderValue {
        self.finish(Cookie::build((self.sign_in_name(state), "")), Some(Duration::ZERO), None)
    }

    /// Deletes the oldest cookies of abandoned sign-ins, at most [`MOST_ENDED`], so that one of `new` bytes fits.
    pub(crate) fn end_old_sign_ins(&self, headers: &HeaderMap, new: usize) -> Vec<HeaderValue> {
        let pending: Vec<_> = named(headers, |name| name.starts_with(&self.sign_in)).collect();
        // Browsers send the oldest first (RFC 6265 §5.4): the tabs opened last keep theirs.
        let mut kept = new;
        let old = pending.into_iter().rev().filter(|(name, value)| {
            kept += name.len() + value.len();
            kept > SIGN_IN_BYTES
        });
        let mut ended = Vec::new();
        for (name, _) in old {
            if !ended.contains(&name) {
                ended.push(name);
            }
            if ended.len() == MOST_ENDED {
                break;
            }
        }
        ended
            .into_iter()
            .map(|name| self.finish(Cookie::build((name, String::new())), Some(Duration::ZERO), None))
            .collect()
    }

    /// Sets the cookie with the `state` of a logout at the provider.
    pub(crate) fn begin_logout(&self, state: &str) -> HeaderValue {
        self.finish(Cookie::build((self.logout.as_str(), state)), Some(SIGN_IN_LIFETIME), None)
    }

    /// Returns the `state` of the logout at the provider.
    pub(crate) fn logout(&self, headers: &HeaderMap) -> Option<String> {
        named(headers, |name| name == self.logout).next().map(|(_, value)| value)
    }

    /// Deletes the cookie of a logout.
    pub(crate) fn end_logout(&self) -> HeaderValue {
        self.finish(Cookie::build((self.logout.as_str(), "")), Some(Duration::ZERO), None)
    }

    /// Sets the cookie of the administration's session, for `lifetime`, at each of its paths.
    pub(crate) fn open_administration(&self, sealed: &str, lifetime: Duration) -> [HeaderValue; 2] {
        self.administration_paths.each_ref().map(|path| {
            let cookie = Cookie::build((self.administration.as_str(), sealed));
            self.finish(cookie.path(path).same_site(SameSite::Strict), Some(lifetime), None)
        })
    }

    /// Deletes the cookie of the administration's session.
    pub(crate) fn close_administration(&self) -> [HeaderValue; 2] {
        self.open_administration("", Duration::ZERO)
    }

    /// Returns the sealed values of administration sessions.
    pub(crate) fn administration(&self, headers: &HeaderMap) -> impl Iterator<Item = String> {
        named(headers, |name| name == self.administration).map(|(_, value)| value)
    }

    fn sign_in_name(&self, state: &str) -> String {
        let tag: String =
            state.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-' || *c == '_').take(12).collect();
        format!("{}{tag}", self.sign_in)
    }

    fn finish(
        &self,
        cookie: cookie::CookieBuilder<'_>,
        max_age: Option<Duration>,
        domain: Option<&str>,
    ) -> HeaderValue {
        let mut cookie = cookie.http_only(true).secure(self.secure).build();
        if cookie.path().is_none() {
            cookie.set_path("/");
        }
        if cookie.same_site().is_none() {
            cookie.set_same_site(SameSite::Lax);
        }
        if let Some(age) = max_age {
            let seconds = i64::try_from(age.as_secs()).unwrap_or(i64::MAX);
            cookie.set_max_age(time::Duration::seconds(seconds));
        }
        if let Some(domain) = domain {
            cookie.set_domain(domain.to_owned());
        }
        HeaderValue::from_str(&cookie.to_string()).expect("cookie names and values are base64url")
    }
}

/// Returns the cookies of a request without those of any Claimgate, as one header; `None` if none is left.
pub(crate) fn of_application(headers: &HeaderMap) -> Option<HeaderValue> {
    let pairs = headers.get_all(COOKIE).iter().flat_map(|value| value.as_bytes().split(|byte| *byte == b';'));
    let others: Vec<&[u8]> =
        pairs.map(<[u8]>::trim_ascii).filter(|pair| !pair.is_empty() && !is_own(pair)).collect();
    let joined = others.join(&b"; "[..]);
    // Parts of a header are a header.
    HeaderValue::from_bytes(&joined).ok().filter(|value| !value.is_empty())
}

/// Reports whether a cookie has a name of Claimgate's, at whatever address it is served.
fn is_own(pair: &[u8]) -> bool {
    let name = [&b"__Host-"[..], b"__Secure-"].iter().find_map(|prefix| pair.strip_prefix(*prefix));
    name.unwrap_or(pair).starts_with(b"claimgate")
}

/// Returns the cookies of a request by name. Cookies that are not ASCII are skipped: they belong to other
/// applications on the host.
fn named(headers: &HeaderMap, wanted: impl Fn(&str) -> bool) -> impl Iterator<Item = (String, String)> {
    let pairs = headers.get_all(COOKIE).iter().flat_map(|value| value.as_bytes().split(|byte| *byte == b';'));
    let pairs = pairs.filter_map(|pair| std::str::from_utf8(pair).ok().filter(|pair| pair.is_ascii()));
    let pairs = pairs.filter_map(|pair| pair.trim().split_once('='));
    pairs.filter(move |(name, _)| wanted(name)).map(|(name, value)| (name.to_owned(), value.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_application_gets_its_own_cookies_alone() {
        let of = |sent: &[&str]| -> Option<String> {
            let mut headers = HeaderMap::new();
            for value in sent {
                headers.append(COOKIE, value.parse().expect("a header"));
            }
            of_application(&headers).map(|value| value.to_str().expect("ASCII").to_owned())
        };
        assert_eq!(of(&[]), None);
        assert_eq!(of(&["__Host-claimgate=x", " ; claimgate-login-a=1;__Secure-claimgate-admin=2"]), None);
        assert_eq!(of(&["a=1;claimgate=x; b=2", "c=3;;\tclaimgate=x"]).as_deref(), Some("a=1; b=2; c=3"));
        assert_eq!(of(&["myclaimgate=1; d"]).as_deref(), Some("myclaimgate=1; d"));
    }

    #[test]
    fn of_many_pending_sign_ins_the_oldest_are_deleted() {
        let cookies = Cookies {
            session: "claimgate".to_owned(),
            sign_in: "claimgate-login-".to_owned(),
            logout: "claimgate-logout".to_owned(),
            administration: "claimgate-admin".to_owned(),
            administration_paths: ["/api/v1", "/admin"].map(str::to_owned),
            secure: false,
            domain: None,
        };
        let ended = |names: &str| -> Vec<String> {
            let login = |name| format!("claimgate-login-{name}={}; ", "x".repeat(983));
            let sent = names.chars().map(login).collect::<String>() + "claimgate=y";
            let mut headers = HeaderMap::new();
            headers.insert(COOKIE, sent.parse().expect("a header"));
            let ended = cookies.end_old_sign_ins(&headers, 500);
            ended.iter().map(|value| value.to_str().expect("ASCII")[16..17].to_owned()).collect()
        };
        assert_eq!(ended("abcde"), [""; 0]);
        assert_eq!(ended("abcdef"), ["a"]);
        assert_eq!(ended("abcdefgh"), ["c", "b", "a"]);
        // A stranger names as many as a head holds.
        assert_eq!(ended(&"abcdefghijklmnopqrstuvwxyz".repeat(4)).len(), MOST_ENDED);
        assert_eq!(ended(&format!("{}bcdefg", "a".repeat(40))), ["b", "a"]);
    }
}
