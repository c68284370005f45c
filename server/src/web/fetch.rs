//! Calls to providers, with limits on time and size. Redirects are not followed.

use std::path::Path;
use std::time::Duration;

use claimgate::oidc::{Request, Response};

/// Longest time for a call to a provider, until the last byte of the response.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Longest time to connect to a provider.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A failed call to a provider.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// There was no connection, no TLS, or no response in time.
    #[error("{host} cannot be reached: {reason}")]
    Unreachable {
        /// The host called.
        host: String,
        /// The reason that the system gave.
        reason: String,
    },
    /// The response exceeds the limit.
    #[error("{host} answered with more than {limit} bytes")]
    TooLarge {
        /// The host called.
        host: String,
        /// The limit, in bytes.
        limit: usize,
    },
    /// The client cannot be built: `ca_file` is unusable, or the system has no certificates.
    #[error("no TLS client: {reason}")]
    Client {
        /// The reason.
        reason: String,
    },
}

impl FetchError {
    /// The stable code of this error; see `docs/reference/errors.md`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            FetchError::Unreachable { .. } => "fetch.unreachable",
            FetchError::TooLarge { .. } => "fetch.too_large",
            FetchError::Client { .. } => "fetch.client",
        }
    }
}

/// The HTTP client for one provider.
#[derive(Clone)]
pub struct Fetcher(reqwest::Client);

impl Fetcher {
    /// Builds a client that trusts the system's certificates and those of `ca_file`. It uses the proxies in
    /// the environment unless `direct`.
    ///
    /// # Errors
    /// [`FetchError::Client`].
    pub fn new(ca_file: Option<&Path>, direct: bool) -> Result<Self, FetchError> {
        let refused = |reason: String| FetchError::Client { reason };
        let mut client = reqwest::Client::builder()
            .user_agent(concat!("claimgate/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .timeout(TIMEOUT)
            .connect_timeout(CONNECT_TIMEOUT)
            .pool_max_idle_per_host(8);
        if direct {
            client = client.no_proxy();
        }
        if let Some(file) = ca_file {
            let pem = std::fs::read(file).map_err(|error| refused(format!("{}: {error}", file.display())))?;
            let certificates = reqwest::Certificate::from_pem_bundle(&pem)
                .map_err(|error| refused(format!("{}: {error}", file.display())))?;
            if certificates.is_empty() {
                return Err(refused(format!("{} holds no certificate", file.display())));
            }
            client = client.tls_certs_merge(certificates);
        }
        client.build().map(Self).map_err(|error| refused(reason(&error)))
    }

    /// Sends a request and reads at most `limit` bytes of the response.
    ///
    /// # Errors
    /// A [`FetchError`]. A response of any status is no error.
    pub async fn send(&self, request: Request, limit: usize) -> Result<Response, FetchError> {
        let host = request.uri().host().unwrap_or_default().to_owned();
        let unreachable =
            |error: reqwest::Error| FetchError::Unreachable { host: host.clone(), reason: reason(&error) };
        let request = reqwest::Request::try_from(request).map_err(&unreachable)?;
        let mut answer = self.0.execute(request).await.map_err(&unreachable)?;
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(&unreachable)? {
            if body.len() + chunk.len() > limit {
                return Err(FetchError::TooLarge { host, limit });
            }
            body.extend_from_slice(&chunk);
        }
        let mut response = Response::new(body);
        *response.status_mut() = answer.status();
        *response.headers_mut() = std::mem::take(answer.headers_mut());
        Ok(response)
    }
}

/// Returns the causes of an error, without the URL, which may hold a code.
fn reason(error: &reqwest::Error) -> String {
    let mut text = if error.is_timeout() { "it took too long".to_owned() } else { String::new() };
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        if !text.is_empty() {
            text.push_str(": ");
        }
        text.push_str(&error.to_string());
        cause = error.source();
    }
    if text.contains("CaUsedAsEndEntity") {
        text.push_str(": the certificate of the server is one of an authority, as self-signed ones often are; make one without `CA:TRUE`");
    }
    if text.is_empty() { "the request could not be made".to_owned() } else { text }
}
