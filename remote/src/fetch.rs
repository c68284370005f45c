//! The port to an HTTP client.

use std::pin::Pin;

use claimgate::oidc::{Request, Response};

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
    /// Returns the stable code of this error; see `docs/reference/errors.md`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            FetchError::Unreachable { .. } => "fetch.unreachable",
            FetchError::TooLarge { .. } => "fetch.too_large",
            FetchError::Client { .. } => "fetch.client",
        }
    }
}

impl claimgate::Code for FetchError {
    fn code(&self) -> &'static str {
        FetchError::code(self)
    }
}

/// The response to a request, once it has arrived.
pub type Fetching<'f> = Pin<Box<dyn Future<Output = Result<Response, FetchError>> + Send + 'f>>;

/// An HTTP client, as the keys of a provider need it.
///
/// An implementation must not follow redirects, must bound the time of a call, and must read no more than
/// `limit` bytes of a body: the other side may be hostile.
///
/// ```
/// use claimgate_remote::fetch::Fetching;
/// use claimgate::oidc::{Request, Response};
/// use claimgate_remote::{Fetch, FetchError};
///
/// /// An HTTP client of the program.
/// struct Client;
///
/// impl Client {
///     async fn send(&self, request: Request, limit: usize) -> Result<Response, FetchError> {
///         let host = request.uri().host().unwrap_or_default().to_owned();
///         Err(FetchError::Unreachable { host, reason: "it is not written yet".to_owned() })
///     }
/// }
///
/// impl Fetch for Client {
///     fn fetch(&self, request: Request, limit: usize) -> Fetching<'_> {
///         Box::pin(self.send(request, limit))
///     }
/// }
/// ```
pub trait Fetch: Send + Sync + 'static {
    /// Sends a request and reads at most `limit` bytes of the response. A response of any status is no error.
    ///
    /// # Errors
    /// A [`FetchError`]: no response in time, or a body beyond the limit.
    fn fetch(&self, request: Request, limit: usize) -> Fetching<'_>;
}
