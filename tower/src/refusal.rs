//! Why a request is refused, and the one table from that to an answer, of HTTP or of gRPC.

use std::pin::Pin;
use std::time::Instant;

use claimgate::Error;
use claimgate::identity::IdentityError;
use claimgate_remote::{RemoteError, VerifyError};
use http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode, Version};

use crate::log_limit::LINES_OF_REFUSALS;

/// The answer of a service, once it has arrived.
pub type Answering<R, E> = Pin<Box<dyn Future<Output = Result<R, E>> + Send>>;

/// Seconds after which a client is asked to try again.
const RETRY: HeaderValue = HeaderValue::from_static("5");

/// Why a request is refused. The text is for the log: an answer has none of it.
///
/// ```
/// use claimgate_tower::Refusal;
///
/// let refusal = Refusal::Missing;
/// assert_eq!((refusal.status().as_u16(), refusal.grpc_status()), (401, 16));
/// assert_eq!(refusal.challenge().as_deref(), Some(r#"Bearer realm="api""#));
/// println!("[{}] {}", refusal.code(), refusal.public_message());
/// refusal.log();
/// let answer: http::Response<String> = refusal.http_response();
/// assert_eq!(answer.status(), 401);
/// let answer: http::Response<String> = refusal.grpc_response();
/// assert_eq!(answer.headers()["grpc-status"], "16");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The request has no bearer token, and needs one.
    #[error("the request has no bearer token")]
    Missing,
    /// There are several `Authorization` headers, or the one is no `Bearer` and a token (RFC 6750 §2.1).
    #[error("the request has several `Authorization` headers, or a malformed one")]
    Malformed,
    /// The token is refused, or its claims do not fit the type that a handler takes.
    #[error(transparent)]
    Token(Error),
    /// The token's session or subject was logged out by the back channel.
    #[error("the session or the subject of the token was logged out")]
    LoggedOut,
    /// The token has no `iat` or no `exp`, or lives longer than logouts are remembered.
    #[error("the token has no `iat` or no `exp`, or lives longer than logouts are remembered")]
    Lifetime,
    /// The mapping makes no identity of the claims.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The token has none of the scopes of which one is required.
    #[error("the token has none of the scopes {}", scopes.join(", "))]
    Scope {
        /// The scopes.
        scopes: Vec<String>,
    },
    /// The identity is in none of the teams of which one is required.
    #[error("the identity is in none of the teams {}", teams.join(", "))]
    Team {
        /// The teams.
        teams: Vec<String>,
    },
    /// The token cannot be judged now, and may be good.
    #[error(transparent)]
    Unavailable(#[from] RemoteError),
    /// The store of logouts failed, or took too long: the token may have been logged out.
    #[error("the store of logouts failed: {reason}")]
    Store {
        /// The store's reason.
        reason: String,
    },
    /// The program is wrong: a guard or an extractor has no [`BearerLayer`](crate::BearerLayer) around it, or needs
    /// the identity and the layer has no mapping.
    #[error("the program is wrong: {missing}")]
    Program {
        /// What is missing.
        missing: &'static str,
    },
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        match error.unavailable() {
            Some(reason) => Refusal::Unavailable(RemoteError::Signature(reason.clone())),
            None => Refusal::Token(error),
        }
    }
}

impl From<VerifyError> for Refusal {
    fn from(error: VerifyError) -> Self {
        match error {
            VerifyError::Refused(error) => error.into(),
            VerifyError::Unavailable(error) => Refusal::Unavailable(error),
            // A reason that is new to this table grants nothing.
            _ => Refusal::Malformed,
        }
    }
}

impl Refusal {
    /// Returns the stable code, such as `claims.expired`; see `docs/reference/errors.md`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Refusal::Missing => "bearer.missing",
            Refusal::Malformed => "bearer.malformed",
            Refusal::Token(error) => error.code(),
            Refusal::LoggedOut => "bearer.logged_out",
            Refusal::Lifetime => "bearer.lifetime",
            Refusal::Identity(error) => error.code(),
            Refusal::Scope { .. } => "bearer.scope",
            Refusal::Team { .. } => "bearer.team",
            Refusal::Unavailable(error) => error.code(),
            Refusal::Store { .. } => "bearer.store",
            Refusal::Program { .. } => "bearer.program",
        }
    }

    /// Returns the status of an answer over HTTP (RFC 6750 §3.1).
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self {
            Refusal::Malformed => StatusCode::BAD_REQUEST,
            Refusal::Missing | Refusal::Token(_) | Refusal::LoggedOut | Refusal::Lifetime => {
                StatusCode::UNAUTHORIZED
            }
            Refusal::Identity(_) | Refusal::Scope { .. } | Refusal::Team { .. } => StatusCode::FORBIDDEN,
            Refusal::Unavailable(_) | Refusal::Store { .. } => StatusCode::SERVICE_UNAVAILABLE,
            Refusal::Program { .. } => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// Returns the status code of an answer over gRPC: 16, 7, 14 or 13.
    #[must_use]
    pub fn grpc_status(&self) -> i32 {
        match self.status() {
            StatusCode::FORBIDDEN => 7,
            StatusCode::SERVICE_UNAVAILABLE => 14,
            StatusCode::INTERNAL_SERVER_ERROR => 13,
            _ => 16,
        }
    }

    /// Returns what the client may read: the error code of RFC 6750 §3.1, or a word for the others.
    #[must_use]
    pub fn public_message(&self) -> &'static str {
        match self.status() {
            StatusCode::BAD_REQUEST => "invalid_request",
            StatusCode::FORBIDDEN => "insufficient_scope",
            StatusCode::SERVICE_UNAVAILABLE => "temporarily_unavailable",
            StatusCode::INTERNAL_SERVER_ERROR => "server_error",
            _ if *self == Refusal::Missing => "unauthenticated",
            _ => "invalid_token",
        }
    }

    /// Returns the answer over HTTP, without a body.
    #[must_use]
    pub fn http_response<B: Default>(&self) -> Response<B> {
        let mut response = Response::new(B::default());
        *response.status_mut() = self.status();
        let headers = response.headers_mut();
        if let Some(challenge) = self.challenge().and_then(|value| HeaderValue::try_from(value).ok()) {
            headers.insert(WWW_AUTHENTICATE, challenge);
        }
        if self.status() == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(RETRY_AFTER, RETRY);
        }
        response
    }

    /// Returns the answer over gRPC: a response of headers alone.
    #[must_use]
    pub fn grpc_response<B: Default>(&self) -> Response<B> {
        let mut response = Response::new(B::default());
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        headers.insert(HeaderName::from_static("grpc-status"), self.grpc_status().into());
        let message = HeaderValue::from_static(self.public_message());
        headers.insert(HeaderName::from_static("grpc-message"), message);
        response
    }

    /// Logs the refusal, and returns the answer to a request with these headers.
    pub(crate) fn answer<B: Default>(&self, is_grpc: bool) -> Response<B> {
        self.log();
        if is_grpc { self.grpc_response() } else { self.http_response() }
    }

    /// Returns the value of `WWW-Authenticate` (RFC 6750 §3), which has at least one parameter; `None` if the token
    /// is not the reason.
    #[must_use]
    pub fn challenge(&self) -> Option<String> {
        let error = self.public_message();
        match self {
            Refusal::Missing => Some("Bearer realm=\"api\"".to_owned()),
            Refusal::Scope { scopes } => {
                let scope = scopes.first().map(String::as_str).unwrap_or_default();
                Some(format!("Bearer error=\"{error}\", scope=\"{scope}\""))
            }
            _ if self.status().is_client_error() => Some(format!("Bearer error=\"{error}\"")),
            _ => None,
        }
    }

    /// Writes the line of this refusal (target `claimgate_tower`), unless its code has had 100 lines within a minute.
    /// A layer and its guards do so themselves.
    pub fn log(&self) {
        let (code, error) = (self.code(), self);
        let Some(left_out) = LINES_OF_REFUSALS.admit(code, Instant::now()) else { return };
        match self {
            Refusal::Missing => {
                tracing::debug!(target: "claimgate_tower", code, left_out, "request without a token refused")
            }
            Refusal::Program { .. } => {
                tracing::error!(target: "claimgate_tower", code, %error, left_out, "request refused")
            }
            Refusal::Unavailable(_) | Refusal::Store { .. } => {
                tracing::warn!(target: "claimgate_tower", code, %error, left_out, "request refused");
            }
            _ => tracing::info!(target: "claimgate_tower", code, %error, left_out, "request refused"),
        }
    }
}

impl claimgate::Code for Refusal {
    fn code(&self) -> &'static str {
        Refusal::code(self)
    }
}

/// Reports whether a request is one of gRPC: a POST over HTTP/2 or later. Any other is answered over HTTP, also one of
/// gRPC-Web, whose clients read that as well: the refusals of gRPC have the status 200, by which a proxy that asks with
/// a client's headers would admit the client.
pub(crate) fn is_grpc<B>(request: &Request<B>) -> bool {
    if request.method() != Method::POST || request.version() < Version::HTTP_2 {
        return false;
    }
    let content_type = request.headers().get(CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    let rest = content_type.strip_prefix(b"application/grpc".as_slice());
    rest.is_some_and(|rest| matches!(rest.first(), None | Some(b'+' | b';')))
}
