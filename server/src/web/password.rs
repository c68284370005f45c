//! Password hashes: argon2id, on threads of their own with memory that is used again.
//!
//! A hash takes 19 MiB. Only the `HASHERS` threads have that memory, and each keeps one piece for as long
//! as the server runs, so that no number of attempts takes more. An attempt whose client hangs up before
//! its turn is skipped.

use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

use argon2::password_hash::phc::{Output, ParamsString, PasswordHash, Salt};
use argon2::{Algorithm, Argon2, Block, Params, Version};
use parking_lot::Mutex;
use tokio::sync::oneshot;
use tracing::error;
use zeroize::Zeroizing;

use super::shares::{Exhausted, Share, Shares};
use crate::system;

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

/// Most threads that hash passwords, if there are so many cores. Each keeps 19 MiB.
pub(super) const HASHERS: usize = 4;
/// Bytes of memory that a hash takes.
pub(super) const HASH_BYTES: usize = Params::DEFAULT_M_COST as usize * 1024;
/// Most password attempts that wait or are being hashed; more are refused at once.
const ATTEMPTS: usize = 64;
/// Most of these attempts from one client address.
const ATTEMPTS_BY_ADDRESS: usize = 16;
/// Bytes of a new salt: RFC 9106 §3.1's recommendation.
const SALT: usize = 16;

/// The memory of one hash at a time.
type Memory = Vec<Block>;

/// Hashes a new password (argon2id, 19 MiB, two passes: OWASP's and the crate's choice).
///
/// # Errors
/// A [`PasswordError`].
///
/// # Panics
/// If the operating system has no randomness.
pub fn hash(password: &str) -> Result<String, PasswordError> {
    hash_in(&mut Memory::new(), password)
}

fn hash_in(memory: &mut Memory, password: &str) -> Result<String, PasswordError> {
    if password.len() > MAX_PASSWORD {
        return Err(PasswordError::TooLong);
    }
    if password.chars().count() < MIN_PASSWORD {
        return Err(PasswordError::TooShort);
    }
    let mut salt = [0; SALT];
    system::random(&mut salt);
    let parameters = Params::default();
    let parameters_text = ParamsString::try_from(&parameters);
    let output = derive(memory, Argon2::from(parameters), password, &salt, Params::DEFAULT_OUTPUT_LEN);
    let hash = PasswordHash {
        algorithm: Algorithm::default().ident(),
        version: Some(Version::default().into()),
        params: parameters_text.expect("the crate's own parameters have a text"),
        salt: Some(Salt::new(&salt).expect("16 bytes are a salt")),
        hash: Some(output.expect("argon2 takes a password of this length")),
    };
    Ok(hash.to_string())
}

/// Reports whether a password has this hash. The outputs are compared in constant time.
fn matches(memory: &mut Memory, password: &str, hash: &PasswordHash) -> bool {
    let (Some(salt), Some(expected)) = (&hash.salt, &hash.hash) else { return false };
    let (Ok(algorithm), Ok(version), Ok(parameters)) = (
        Algorithm::try_from(hash.algorithm.as_str()),
        hash.version.map_or(Ok(Version::default()), Version::try_from),
        Params::try_from(hash),
    ) else {
        return false;
    };
    let argon2 = Argon2::new(algorithm, version, parameters);
    derive(memory, argon2, password, salt, expected.len()).is_some_and(|output| output == *expected)
}

fn derive(
    memory: &mut Memory,
    argon2: Argon2<'_>,
    password: &str,
    salt: &[u8],
    length: usize,
) -> Option<Output> {
    memory.resize(argon2.params().block_count(), Block::default());
    let mut output = Zeroizing::new([0; Output::MAX_LENGTH]);
    let output = output.get_mut(..length)?;
    argon2.hash_password_into_with_memory(password.as_bytes(), salt, output, memory).ok()?;
    Output::new(output).ok()
}

/// Hashes and verifies passwords on threads of their own.
pub(crate) struct Passwords {
    attempts: Shares,
    queue: Sender<Work>,
    /// The hash of a random password, verified for a user who has none so that both take equally long.
    dummy: Arc<str>,
}

/// What a thread does with its memory.
type Work = Box<dyn FnOnce(&mut Memory) + Send>;

impl Passwords {
    /// Starts the threads.
    ///
    /// # Errors
    /// The reason that the system gave.
    pub(crate) fn start() -> std::io::Result<Self> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let (queue, work) = channel();
        let work = Arc::new(Mutex::new(work));
        for _ in 0..cores.min(HASHERS) {
            let work = Arc::clone(&work);
            std::thread::Builder::new().name("passwords".to_owned()).spawn(move || run(&work))?;
        }
        let secret = claimgate::oidc::random_token(&mut system::random);
        let dummy = hash(&secret).expect("a random token has 43 characters");
        Ok(Self { attempts: Shares::new(ATTEMPTS, ATTEMPTS_BY_ADDRESS), queue, dummy: dummy.into() })
    }

    /// Hashes a new password.
    ///
    /// # Errors
    /// [`Exhausted`], at once; within it a [`PasswordError`].
    pub(super) async fn hash(
        &self,
        password: Zeroizing<String>,
        address: IpAddr,
    ) -> Result<Result<String, PasswordError>, Exhausted> {
        self.in_turn(address, move |memory| hash_in(memory, &password)).await
    }

    /// Verifies a password. Without a hash the dummy is verified, so that both cases take equally long.
    ///
    /// # Errors
    /// [`Exhausted`], at once.
    pub(super) async fn verify(
        &self,
        password: Zeroizing<String>,
        hash: Option<String>,
        address: IpAddr,
    ) -> Result<bool, Exhausted> {
        let dummy = Arc::clone(&self.dummy);
        let verify = move |memory: &mut Memory| {
            let known = hash.as_deref().and_then(|hash| PasswordHash::new(hash).ok());
            let exists = known.is_some();
            let hash = known.or_else(|| PasswordHash::new(&dummy).ok());
            let fits = hash.is_some_and(|hash| matches(memory, &password, &hash));
            fits && exists && password.len() <= MAX_PASSWORD
        };
        self.in_turn(address, verify).await
    }

    /// Runs work on one of the threads. It holds its share until it is done, even if the client hangs up.
    async fn in_turn<T: Send + 'static>(
        &self,
        address: IpAddr,
        work: impl FnOnce(&mut Memory) -> T + Send + 'static,
    ) -> Result<T, Exhausted> {
        let share = self.attempts.take(address, 1)?;
        let (answer, answered) = oneshot::channel();
        let work = move |memory: &mut Memory| {
            let _share: Share = share;
            if !answer.is_closed() {
                drop(answer.send(work(memory)));
            }
        };
        // Neither fails: the threads end with `self`, and a panic ends one piece of work only.
        self.queue.send(Box::new(work)).map_err(|_| Exhausted::All)?;
        answered.await.map_err(|_| Exhausted::All)
    }
}

fn run(work: &Mutex<Receiver<Work>>) {
    // Forward-auth does not wait for password hashes.
    system::lower_priority();
    let mut memory = Memory::new();
    loop {
        // The lock is held while this thread waits, and not while it works.
        let next = work.lock().recv();
        let Ok(next) = next else { return };
        if catch_unwind(AssertUnwindSafe(|| next(&mut memory))).is_err() {
            error!("a password was not hashed because of a panic");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWORD: &str = "correct horse battery staple";

    fn address(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    fn secret(text: &str) -> Zeroizing<String> {
        Zeroizing::new(text.to_owned())
    }

    #[tokio::test]
    async fn what_the_threads_hash_the_crate_verifies_and_the_other_way_round() {
        use argon2::{PasswordHasher, PasswordVerifier};
        let passwords = Passwords::start().expect("threads");
        let own = passwords.hash(secret(PASSWORD), address(1)).await.expect("a turn").expect("a hash");
        let parsed = PasswordHash::new(&own).expect("a PHC string");
        assert!(Argon2::default().verify_password(PASSWORD.as_bytes(), &parsed).is_ok());
        let older =
            Argon2::new(Algorithm::Argon2i, Version::V0x10, Params::new(64, 3, 2, Some(24)).expect("valid"));
        for hash in [own, older.hash_password(PASSWORD.as_bytes()).expect("a hash").to_string()] {
            let verify = |text| passwords.verify(secret(text), Some(hash.clone()), address(1));
            assert!(verify(PASSWORD).await.expect("a turn"));
            assert!(!verify("another password").await.expect("a turn"));
        }
        assert!(!passwords.verify(secret(PASSWORD), None, address(1)).await.expect("a turn"));
        assert!(
            !passwords
                .verify(secret(PASSWORD), Some("$argon2id$".to_owned()), address(1))
                .await
                .expect("a turn")
        );
    }

    /// Occupies every thread until the result is dropped.
    async fn occupy(passwords: &Passwords) -> Vec<Sender<()>> {
        let mut held = Vec::new();
        for last in 0..HASHERS {
            let (release, released) = channel::<()>();
            let (begun, begins) = oneshot::channel();
            let share =
                passwords.attempts.take(address(100 + u8::try_from(last).expect("few")), 1).expect("free");
            let work: Work = Box::new(move |_| {
                let _share = share;
                let _ = begun.send(());
                let _ = released.recv();
            });
            passwords.queue.send(work).expect("threads");
            let threads = std::thread::available_parallelism().map_or(1, usize::from).min(HASHERS);
            if last < threads {
                begins.await.expect("begins");
            }
            held.push(release);
        }
        held
    }

    // finding: S1
    #[tokio::test]
    async fn attempts_are_bounded_by_address_and_in_all_and_those_abandoned_are_skipped() {
        let passwords = Passwords::start().expect("threads");
        let busy = occupy(&passwords).await;
        let mut attempts = Vec::new();
        let begin =
            |last| Box::pin(passwords.in_turn(address(last), |_: &mut Memory| panic!("is not begun")));
        'addresses: for last in 0.. {
            for _ in 0..ATTEMPTS_BY_ADDRESS {
                let mut attempt: std::pin::Pin<Box<dyn Future<Output = Result<(), Exhausted>>>> = begin(last);
                match std::future::poll_fn(|context| std::task::Poll::Ready(attempt.as_mut().poll(context)))
                    .await
                {
                    std::task::Poll::Pending => attempts.push(attempt),
                    std::task::Poll::Ready(refused) => {
                        assert_eq!(refused, Err(Exhausted::All));
                        break 'addresses;
                    }
                }
            }
            assert!(begin(last).await.is_err());
        }
        assert_eq!(attempts.len() + busy.len(), ATTEMPTS);
        // The clients hang up: their places are kept until a thread has skipped the work.
        drop(attempts);
        assert_eq!(begin(0).await, Err(Exhausted::Share));
        drop(busy);
        let hashed = async {
            loop {
                if let Ok(Ok(hash)) = passwords.hash(secret(PASSWORD), address(0)).await {
                    return hash;
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(60), hashed)
            .await
            .expect("the queue is free again");
    }
}
