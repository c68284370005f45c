//! The endpoint for back-channel logouts (Back-Channel Logout 1.0 §2.5 to §2.8).

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use claimgate::claims::LogoutToken;
use claimgate::oidc::backchannel;
use claimgate_remote::RemoteIssuers;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body::Body;
use http_body_util::{BodyExt, Full, Limited};
use tower_service::Service;

use super::queue::{LogoutError, Queue};
use super::{LogoutStore, StoreError};
use crate::log_limit::LINES_OF_REFUSALS;
use crate::refusal::Answering;

/// Largest body, in bytes. A logout token takes one or two thousand.
const BODY: usize = 64 * 1024;
/// Longest time until the body has arrived.
const BODY_TIME: Duration = Duration::from_secs(5);

/// The endpoint for back-channel logouts, a service to mount at the address that the provider knows:
/// `Router::route_service` of axum, or any other router of tower services. [`Logouts::endpoint`](super::Logouts::endpoint)
/// makes one.
///
/// It must stand outside of a [`BearerLayer`](crate::BearerLayer): the provider sends no bearer token.
///
/// | answer (§2.8), always with `Cache-Control: no-store` | |
/// | --- | --- |
/// | 200 | the logout is recorded, also one that was received before |
/// | 400, `{"error":"invalid_request"}` | no form with one `logout_token`, a body over 64 KiB or slower than 5 seconds, or a token that is refused |
/// | 405 | another method than POST |
/// | 503 with `Retry-After` | the token cannot be judged now, 1,024 others wait, or the store failed: the provider may try again |
///
/// Why is in the log (target `claimgate_tower`), and in no answer.
#[derive(Clone, Debug)]
pub struct LogoutEndpoint(Queue);

impl LogoutEndpoint {
    pub(super) fn new<S: LogoutStore>(
        issuers: Arc<RemoteIssuers<LogoutToken>>,
        store: Arc<S>,
        kept_for: Duration,
    ) -> Self {
        Self(Queue::start(issuers, store, kept_for))
    }

    async fn log_out<B>(&self, headers: &HeaderMap, body: B) -> Result<(), LogoutError>
    where
        B: Body,
        B::Error: Into<StoreError>,
    {
        let refused = |reason| LogoutError::Request { reason };
        let content_type =
            headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let media_type = content_type.split(';').next().unwrap_or_default().trim();
        if !media_type.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
            return Err(refused("it is no form"));
        }
        let body = tokio::time::timeout(BODY_TIME, Limited::new(body, BODY).collect()).await;
        let body = body.map_err(|_| refused("it is too slow"))?;
        let body = body.map_err(|_| refused("it is too large, or broke off"))?.to_bytes();
        let token =
            backchannel::token_of_form(&body).map_err(|_| refused("there is none, or more than one"))?;
        self.0.log_out(token).await
    }
}

impl<B> Service<Request<B>> for LogoutEndpoint
where
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<StoreError>,
{
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Answering<Self::Response, Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let endpoint = self.clone();
        Box::pin(async move {
            let (parts, body) = request.into_parts();
            if parts.method != Method::POST {
                return Ok(answer(StatusCode::METHOD_NOT_ALLOWED, ""));
            }
            Ok(match endpoint.log_out(&parts.headers, body).await {
                Ok(()) => answer(StatusCode::OK, ""),
                Err(error) => refuse(&error),
            })
        })
    }
}

fn refuse(error: &LogoutError) -> Response<Full<Bytes>> {
    let code = error.code();
    let left_out = LINES_OF_REFUSALS.admit(code, Instant::now());
    match error {
        LogoutError::Request { .. } | LogoutError::Token(_) => {
            if let Some(left_out) = left_out {
                tracing::info!(target: "claimgate_tower", code, %error, left_out, "back-channel logout refused");
            }
            answer(StatusCode::BAD_REQUEST, r#"{"error":"invalid_request"}"#)
        }
        LogoutError::Unavailable(_) | LogoutError::Busy | LogoutError::Store { .. } => {
            if let Some(left_out) = left_out {
                tracing::warn!(target: "claimgate_tower", code, %error, left_out, "back-channel logout not recorded");
            }
            answer(StatusCode::SERVICE_UNAVAILABLE, r#"{"error":"temporarily_unavailable"}"#)
        }
    }
}

fn answer(status: StatusCode, body: &'static str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from_static(body.as_bytes())));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if !body.is_empty() {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    if status == StatusCode::SERVICE_UNAVAILABLE {
        headers.insert(RETRY_AFTER, HeaderValue::from_static("5"));
    }
    if status == StatusCode::METHOD_NOT_ALLOWED {
        headers.insert(ALLOW, HeaderValue::from_static("POST"));
    }
    response
}
