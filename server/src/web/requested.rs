//! What a browser or a program requests of an application, as the proxy before it says.

use std::borrow::Cow;

use axum::http::uri::PathAndQuery;
use axum::http::{HeaderMap, HeaderValue, Method, Uri};

use super::app::App;
use super::problem::AccessReason;
use claimgate::access::{Application, Applications, OverrideHeader, Request, Rule, Selection};
use claimgate::oidc::return_to::MAX_RETURN_TO;

/// The rule that decides on a request, and its application.
#[derive(Clone, Copy)]
pub(crate) struct Decided<'a> {
    pub(crate) application: &'a Application,
    pub(crate) rule: &'a Rule,
}

impl Decided<'_> {
    pub(crate) fn accepts_tokens(&self) -> bool {
        !self.application.bearer_audience().is_empty()
    }
}

/// Returns the address of the front page of an address's host.
pub(crate) fn front_page_of(address: &str) -> &str {
    let host = address.find("://").map_or(0, |at| at + "://".len());
    address[host..].find('/').map_or(address, |slash| &address[..=host + slash])
}

/// Reports whether a path, decoded once, has a segment that leads to its parent.
pub(crate) fn has_dot_segment(path: &str) -> bool {
    let path = path.to_ascii_lowercase().replace("%2e", ".").replace("%2f", "/").replace("%5c", "\\");
    path.split(['/', '\\']).any(|segment| segment.split(';').next() == Some(".."))
}

pub(crate) const FORWARDED_URI: &str = "x-forwarded-uri";
const FORWARDED_METHOD: &str = "x-forwarded-method";

/// What the browser requested of the application: from `X-Forwarded-…` (nginx, Caddy, Traefik, HAProxy), or from the
/// subrequest itself, which has the path appended to ours (Envoy).
pub(crate) struct Requested<'r> {
    pub(crate) method: &'r Method,
    pub(crate) uri: &'r Uri,
    pub(crate) headers: &'r HeaderMap,
}

impl<'r> Requested<'r> {
    fn header(&self, name: &str) -> Option<&'r str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// Returns the rule that decides; `None` if there are no applications.
    ///
    /// # Errors
    /// Why no rule decides, for which the request is refused.
    pub(crate) fn decided<'a>(&self, app: &'a App) -> Result<Option<Decided<'a>>, AccessReason> {
        self.decided_by(&app.config.applications)
    }

    fn decided_by<'a>(&self, applications: &'a Applications) -> Result<Option<Decided<'a>>, AccessReason> {
        if applications.is_empty() {
            return Ok(None);
        }
        // Of a header that occurs twice it is not certain which one the application sees.
        let once = |name: &str| self.headers.get_all(name).iter().nth(1).is_none();
        let host = self.host().filter(|_| once("x-forwarded-host") && once("host")).unwrap_or_default();
        // Bytes beyond ASCII hide no parameter beside them.
        let text = |value: &'r HeaderValue| String::from_utf8_lossy(value.as_bytes());
        let path = match self.headers.get(FORWARDED_URI) {
            Some(path) => once(FORWARDED_URI).then(|| text(path)),
            None => self.path().map(Cow::Borrowed),
        };
        let (mut methods, mut paths, mut has_prefix) = (Vec::new(), Vec::new(), false);
        for (name, value) in self.headers {
            match OverrideHeader::of(name.as_str()) {
                Some(OverrideHeader::Method) => methods.push(text(value)),
                Some(OverrideHeader::Path) => paths.push(text(value)),
                // Of another kind it is not known what it changes.
                Some(_) => has_prefix = true,
                None => {}
            }
        }
        let methods: Vec<&str> = methods.iter().map(AsRef::as_ref).collect();
        let paths: Vec<&str> = paths.iter().map(AsRef::as_ref).collect();
        let method = self.forwarded_method().filter(|_| once(FORWARDED_METHOD));
        let request = Request::new(host, path.as_deref().unwrap_or_default(), method.unwrap_or_default());
        let request = if path.is_none() { request.without_path() } else { request };
        let request = if method.is_none() { request.without_method() } else { request };
        let request = request.overridden(&methods, &paths);
        match applications.select(&if has_prefix { request.with_prefix() } else { request }) {
            Selection::Rule { application, rule } => Ok(Some(Decided { application, rule })),
            Selection::NoApplication => Err(AccessReason::NoApplication),
            Selection::NoRule(application) => Err(AccessReason::NoRule(application.name().to_owned())),
            Selection::Ambiguous { application, reason } => {
                Err(AccessReason::Ambiguous(application.name().to_owned(), reason))
            }
        }
    }

    /// Returns the host. Of a subrequest without `X-Forwarded-Uri` it is `Host`, which no script of a page sets: one at our
    /// own host could otherwise name another application, and read what is answered about it.
    fn host(&self) -> Option<&'r str> {
        let forwarded = self.header("x-forwarded-host").filter(|_| self.headers.contains_key(FORWARDED_URI));
        forwarded.or_else(|| self.header("host"))
    }

    /// Returns the path and the query: of `X-Forwarded-Uri`, or those that are appended to ours.
    fn path(&self) -> Option<&'r str> {
        match self.headers.get(FORWARDED_URI) {
            Some(path) => Some(path.to_str().unwrap_or_default()),
            None => {
                let whole = self.uri.path_and_query().map_or("/", PathAndQuery::as_str);
                let (_, appended) = whole.split_once("/auth/redirect")?;
                appended.starts_with('/').then_some(appended)
            }
        }
    }

    /// Returns the method: of `X-Forwarded-Method`, or of a subrequest that has the path appended, which keeps it.
    /// Other subrequests are `GET` whatever the client's request is.
    fn forwarded_method(&self) -> Option<&'r str> {
        match self.header(FORWARDED_METHOD) {
            Some(method) => Some(method),
            None if self.headers.contains_key(FORWARDED_URI) => None,
            None => self.path().map(|_| self.method.as_str()),
        }
    }

    /// Reports whether the browser's request has no body to lose: by `X-Forwarded-Method`, or by the method that the
    /// proxy kept (nginx, Envoy).
    pub(crate) fn is_safe(&self) -> bool {
        let method = self.header(FORWARDED_METHOD).unwrap_or(self.method.as_str());
        matches!(method, "GET" | "HEAD")
    }

    /// Returns the address that the browser requested. Untrusted: the sign-in checks it like any other `return_to`. The
    /// front page stands for an address that is longer than a sign-in returns to: an answer repeats it up to three
    /// times.
    pub(crate) fn address(&self, app: &App) -> String {
        let scheme = if app.server.public_url.https { "https" } else { "http" };
        let scheme = self.header("x-forwarded-proto").unwrap_or(scheme);
        let path = self.path().unwrap_or("/");
        let address = match self.host() {
            Some(host) => format!("{scheme}://{host}{path}"),
            None => path.to_owned(),
        };
        match address.len() <= MAX_RETURN_TO {
            true => address,
            false => Some(front_page_of(&address))
                .filter(|page| page.len() <= MAX_RETURN_TO)
                .unwrap_or_default()
                .to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use claimgate::access::Ambiguity;

    use super::*;

    /// Returns the number of the rule on methods alone that decides on a `GET` with these headers, or why none does.
    fn decide(headers: &[(&str, &[u8])]) -> Result<usize, AccessReason> {
        let rules = serde_json::json!([{
            "hosts": ["wiki.example.com"],
            "rule": [{"methods": ["GET"], "allow": "anyone"}, {"allow": "no_one"}]
        }]);
        let applications =
            Applications::compile(&serde_json::from_value::<Vec<_>>(rules).expect("rules")).expect("rules");
        let given = [("host", &b"wiki.example.com"[..]), (FORWARDED_METHOD, b"GET")];
        let headers = given.iter().chain(headers).map(|(name, value)| {
            (
                name.parse::<axum::http::HeaderName>().expect("a name"),
                HeaderValue::from_bytes(value).expect("a value"),
            )
        });
        let mut sent = HeaderMap::new();
        headers.for_each(|(name, value)| _ = sent.append(name, value));
        let requested = Requested { method: &Method::GET, uri: &Uri::from_static("/auth"), headers: &sent };
        requested.decided_by(&applications).map(|decided| decided.expect("a decision").rule.number())
    }

    #[test]
    fn a_segment_that_leads_to_its_parent_is_found_however_it_is_encoded() {
        for path in ["/a/..", "/a/../b", "/a/..%2Fb", "/a%2f%2E%2e%2fb", "/a/.%2e;x/b", "/a/..%5cb"] {
            assert!(has_dot_segment(path), "{path}");
        }
        for path in ["/", "/a", "/a/...", "/..a/b..", "/a/%252e%252e/b", "/.", "/a%2f.b"] {
            assert!(!has_dot_segment(path), "{path}");
        }
    }

    // attack: access.method-in-the-query
    #[test]
    fn access_by_method_needs_one_path_that_hides_no_parameter() {
        assert!(matches!(decide(&[(FORWARDED_URI, b"/x?a=1")]), Ok(1)));
        assert!(matches!(decide(&[(FORWARDED_URI, b"/x?a=\xe9")]), Ok(1)));
        for headers in [&[][..], &[(FORWARDED_URI, &b"/x"[..]), (FORWARDED_URI, b"/x?_method=DELETE")]] {
            let decided = decide(headers).err();
            assert!(matches!(decided, Some(AccessReason::Ambiguous(_, Ambiguity::NoPath))), "{headers:?}");
        }
        for headers in [
            &[(FORWARDED_URI, &b"/x?_method=DELETE&a=\xe9"[..])][..],
            &[(FORWARDED_URI, b"/x"), ("x-original-url", b"/x?_method=DELETE&a=\xe9")],
        ] {
            let decided = decide(headers).err();
            let is_override = matches!(decided, Some(AccessReason::Ambiguous(_, Ambiguity::Override { .. })));
            assert!(is_override, "{headers:?}");
        }
    }
}
