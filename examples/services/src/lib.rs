//! Services that accept the tokens of a provider: one on axum, one on tonic, one on actix-web; and one on axum that
//! signs people in at a provider.

pub mod actix_service;
pub mod axum_service;
pub mod sessions;
pub mod sign_in_axum;
pub mod sqlite_logouts;
pub mod tonic_service;

/// Any error.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;
