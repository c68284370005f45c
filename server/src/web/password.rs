//! Password hashes: argon2id, at most as many at once as there are cores.

use std::sync::Arc;

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

/// Longest password, in bytes; longer ones are refused without being hashed.
pub const MAX_PASSWORD: usize = 1024;
/// Shortest password that can be set, in characters (NIST SP 800-63B §3.1.1.2 wants 8 at least; a
/// door beside the provider's deserves more).
pub const MIN_PASSWORD: usize = 12;

/// Why a password is not taken.
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
/// Where the operating system has no randomness.
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

/// Compares passwords with hashes, in turns.
#[derive(Clone)]
pub(crate) struct Passwords {
    turns: Arc<Semaphore>,
    /// The hash of a password that nobody knows: so that a user who does not exist takes as long.
    nobody: Arc<str>,
}

impl Passwords {
    pub(crate) fn new() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let secret = claimgate::oidc::random_token(&mut crate::system::random);
        let nobody = hash(&secret).expect("43 characters");
        Self { turns: Arc::new(Semaphore::new(cores)), nobody: nobody.into() }
    }

    /// Hashes a new password, in turn.
    pub(crate) async fn hash(&self, password: Zeroizing<String>) -> Result<String, PasswordError> {
        let _turn = self.turns.acquire().await;
        let hashed = tokio::task::spawn_blocking(move || hash(&password)).await;
        hashed.expect("hashing does not panic while there is randomness")
    }

    /// Whether a password fits a hash; where there is none, no, and as late.
    pub(crate) async fn check(&self, password: Zeroizing<String>, hash: Option<String>) -> bool {
        let Ok(_turn) = self.turns.acquire().await else { return false };
        let nobody = Arc::clone(&self.nobody);
        let compare = move || {
            let known = hash.as_deref().and_then(|hash| PasswordHash::new(hash).ok());
            let exists = known.is_some();
            let hash = known.or_else(|| PasswordHash::new(&nobody).ok());
            let fits = hash
                .is_some_and(|hash| Argon2::default().verify_password(password.as_bytes(), &hash).is_ok());
            fits && exists && password.len() <= MAX_PASSWORD
        };
        tokio::task::spawn_blocking(compare).await.unwrap_or(false)
    }
}
