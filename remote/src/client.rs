//! Calls to providers by reqwest, with limits on time and size. Redirects are not followed.

use std::path::Path;
use std::time::Duration;

use claimgate::oidc::{Request, Response};

use crate::fetch::{Fetch, FetchError, Fetching};

/// Longest time for a call to a provider, until the last byte of the response.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Longest time to connect to a provider.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The HTTP client for one provider.
#[derive(Clone, Debug)]
pub struct HttpClient(reqwest::Client);

impl HttpClient {
    /// Builds a client that trusts the system's certificates and those of `ca_file`. It uses the proxies in
    /// the environment unless `direct`. TLS is by the process's rustls provider, which becomes ring if none is
    /// installed yet.
    ///
    /// # Errors
    /// [`FetchError::Client`].
    pub fn new(ca_file: Option<&Path>, direct: bool) -> Result<Self, FetchError> {
        // An error means that a provider is installed already.
        drop(rustls::crypto::ring::default_provider().install_default());
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

    async fn send(&self, request: Request, limit: usize) -> Result<Response, FetchError> {
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

impl Fetch for HttpClient {
    fn fetch(&self, request: Request, limit: usize) -> Fetching<'_> {
        Box::pin(self.send(request, limit))
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
