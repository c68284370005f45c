//! The extractor of axum.

use axum_core::body::Body;
use axum_core::extract::{FromRequestParts, OptionalFromRequestParts};
use axum_core::response::{IntoResponse, Response};
use http::request::Parts;

use crate::principal::{FromPrincipal, Verified};
use crate::refusal::Refusal;

/// Logs the refusal, and answers with it.
impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        self.answer::<Body>(false)
    }
}

impl<T: FromPrincipal, S: Send + Sync> FromRequestParts<S> for Verified<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        Self::of(&parts.extensions)
    }
}

impl<T: FromPrincipal, S: Send + Sync> OptionalFromRequestParts<S> for Verified<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Refusal> {
        Self::optional(&parts.extensions)
    }
}
