//! The URLs of a provider: which may be called, and how parameters are added.

use url::{Host, Url};

/// An absolute `https` URL, or an `http` one if allowed.
///
/// ```
/// use claimgate::oidc::endpoint::{Endpoint, EndpointError};
///
/// let endpoint = Endpoint::parse("https://idp.example.com/auth?tenant=a", false)?;
/// assert_eq!(endpoint.with_query([("scope", "openid")]), "https://idp.example.com/auth?tenant=a&scope=openid");
/// assert_eq!(Endpoint::parse("http://idp.example.com", false), Err(EndpointError::Scheme));
/// let local = Endpoint::parse("http://127.0.0.1:8080/", false)?;
/// assert!(local.is_loopback() && local.is_plain_http());
/// # Ok::<(), EndpointError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint(Url);

/// Why a URL is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EndpointError {
    /// Not an absolute URL with a host.
    #[error("not an absolute URL")]
    NotAUrl,
    /// The scheme is not `https`.
    #[error("not https, and not on a loopback address")]
    Scheme,
    /// It contains a username or password.
    #[error("it carries credentials")]
    Credentials,
    /// It has a fragment.
    #[error("it has a fragment")]
    Fragment,
}

impl Endpoint {
    /// Parses a URL. `http` is accepted for loopback hosts, and with `allow_http` for others.
    ///
    /// # Errors
    /// An [`EndpointError`].
    pub fn parse(text: &str, allow_http: bool) -> Result<Self, EndpointError> {
        let url = Url::parse(text).map_err(|_| EndpointError::NotAUrl)?;
        if url.host().is_none() {
            return Err(EndpointError::NotAUrl);
        }
        match url.scheme() {
            "https" => {}
            "http" if allow_http || is_loopback(&url) => {}
            _ => return Err(EndpointError::Scheme),
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(EndpointError::Credentials);
        }
        if url.fragment().is_some() {
            return Err(EndpointError::Fragment);
        }
        Ok(Self(url))
    }

    /// Returns the URL.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// Reports whether it is called without TLS.
    #[must_use]
    pub fn is_plain_http(&self) -> bool {
        self.0.scheme() == "http"
    }

    /// Reports whether its host is this machine.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        is_loopback(&self.0)
    }

    /// Returns the URL with parameters added to its own.
    #[must_use]
    pub fn with_query<'p>(&self, parameters: impl IntoIterator<Item = (&'p str, &'p str)>) -> String {
        let mut url = self.0.clone();
        url.query_pairs_mut().extend_pairs(parameters);
        url.into()
    }

    /// Returns the URL with segments added to its path, for `/.well-known/…`.
    #[must_use]
    pub(crate) fn with_path_suffix(&self, suffix: &str) -> Endpoint {
        let mut url = self.0.clone();
        let path = format!("{}{suffix}", url.path().trim_end_matches('/'));
        url.set_path(&path);
        Endpoint(url)
    }
}

impl std::fmt::Display for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// Encodes form parameters (`application/x-www-form-urlencoded`).
pub(crate) fn form<'p>(parameters: impl IntoIterator<Item = (&'p str, &'p str)>) -> String {
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish()
}
