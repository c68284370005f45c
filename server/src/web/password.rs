//! Password hashes: argon2id, at most one per core at a time.

use std::sync::Arc;

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

/// Longest password, in bytes; a longer one is refused without being hashed.
pub const MAX_PASSWORD: usize = 1024;
/// Shortest password that can be set, in characters. NIST SP 800-63B §3.1.1.2 requires 8; a way around the
/// provider deserves more.
pub const MIN_PASSWORD: usize = 12;

/// The reason why a password cannot be set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PasswordError {
    /// Shorter than [`MIN_PASSWORD`].
    #[error("a password has at least 12 characters")]
    TooShort,
    /// Longer than [`MAX_PASSWORD`].
    #[error("a password has at most 1024 bytes")]
    TooLong,
}

impl PasswordError {
    /// The stable code of this error; see `docs/reference/errors.md`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            PasswordError::TooShort => "password.too_short",
            PasswordError::TooLong => "password.too_long",
        }
    }
}

/// Hashes a new password (argon2id, 19 MiB, two passes: OWASP's and the crate's choice).
///
/// # Errors
/// A [`PasswordError`].
///
/// # Panics
/// If the operating system has no randomness.
pub fn hash(password: &str) -> Result<String, PasswordError> {
    if password.len() > MAX_PASSWORD {
        return Err(PasswordError::TooLong);
    }
    if password.chars().count() < MIN_PASSWORD {
        return Err(PasswordError::TooShort);
    }
    let hash = Argon2::default().hash_password(password.as_bytes());
    Ok(hash.expect("argon2 takes a password of this length").to_string())
}

/// Hashes and verifies passwords, at most one per core at a time.
#[derive(Clone)]
pub(crate) struct Passwords {
    permits: Arc<Semaphore>,
    /// The hash of a random password, verified for a user who has none so that both take equally long.
    dummy: Arc<str>,
}

impl Passwords {
    /// Prepares the dummy hash and one permit per core.
    pub(crate) fn new() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let secret = claimgate::oidc::random_token(&mut crate::system::random);
        let dummy = hash(&secret).expect("a random token has 43 characters");
        Self { permits: Arc::new(Semaphore::new(cores)), dummy: dummy.into() }
    }

    /// Hashes a new password once a core is free.
    pub(crate) async fn hash(&self, password: Zeroizing<String>) -> Result<String, PasswordError> {
        let _permit = self.permits.acquire().await;
        let hashed = tokio::task::spawn_blocking(move || hash(&password)).await;
        hashed.expect("hashing does not panic while there is randomness")
    }

    /// Verifies a password. Without a hash the dummy is verified, so that both cases take equally long.
    pub(crate) async fn verify(&self, password: Zeroizing<String>, hash: Option<String>) -> bool {
        let Ok(_permit) = self.permits.acquire().await else { return false };
        let dummy = Arc::clone(&self.dummy);
        let verify = move || {
            let known = hash.as_deref().and_then(|hash| PasswordHash::new(hash).ok());
            let exists = known.is_some();
            let hash = known.or_else(|| PasswordHash::new(&dummy).ok());
            let fits = hash
                .is_some_and(|hash| Argon2::default().verify_password(password.as_bytes(), &hash).is_ok());
            fits && exists && password.len() <= MAX_PASSWORD
        };
        tokio::task::spawn_blocking(verify).await.unwrap_or(false)
    }
}
