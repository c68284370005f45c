//! Calls to providers: bounded in time and size, redirects not followed.

use std::path::Path;
use std::time::Duration;

use claimgate::oidc::{Request, Response};

/// The longest that a provider may take to answer, from the first byte to the last.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The longest that the connection to it may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Why a call brought no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// No connection, no TLS, no answer in time.
    #[error("{host} cannot be reached: {reason}")]
    Unreachable {
        /// The host that was called.
        host: String,
        /// What the system said.
        reason: String,
    },
    /// The answer is larger than it may be.
    #[error("{host} answered with more than {limit} bytes")]
    TooLarge {
        /// The host that was called.
        host: String,
        /// The bound, in bytes.
        limit: usize,
    },
    /// The client could not be made: a bad `ca_file`, or no certificates on this system.
    #[error("no TLS client: {reason}")]
    Client {
        /// What is wrong.
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

/// Calls one provider.
#[derive(Clone)]
pub struct Fetcher(reqwest::Client);

impl Fetcher {
    /// A client that trusts the system's certificates, and the given one beside them. Proxies from
    /// the environment are used unless `direct`.
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
            client = client.tls_certs_merge(certificates);
        }
        client.build().map(Self).map_err(|error| refused(reason(&error)))
    }

    /// Sends a request and reads at most `limit` bytes of the answer.
    ///
    /// # Errors
    /// A [`FetchError`]. An answer with any status is an answer.
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

/// An error and its causes, without the address: it may hold a code.
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
    if text.is_empty() { "the request could not be made".to_owned() } else { text }
}
