//! The queue of logout tokens, in two steps: while a batch is recorded, those that follow are verified, and recorded as
//! one batch.

use std::sync::Arc;
use std::time::Duration;

use claimgate::Error;
use claimgate::claims::LogoutToken;
use claimgate::verifier::ValidatedToken;
use claimgate_remote::{RemoteError, RemoteIssuers, RemoteVerifier};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};

use super::{Logout, LogoutStore, STORE_TIME};

/// Most tokens that wait for verification; more are refused at once.
const WAITING: usize = 1024;
/// Most logouts in one batch, which limits how long the first of them waits, and most that wait to be recorded.
const BATCH: usize = 256;
/// Most tokens that are verified without a pause for other tasks.
const AT_ONCE: usize = 64;

/// Why a logout was not recorded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum LogoutError {
    /// The request is no POST of a form with one `logout_token`, too large or too slow.
    #[error("the request does not hold exactly one logout_token: {reason}")]
    Request { reason: &'static str },
    /// The token is refused.
    #[error(transparent)]
    Token(#[from] Error),
    /// The token cannot be judged now.
    #[error(transparent)]
    Unavailable(#[from] RemoteError),
    /// As many logouts wait as may.
    #[error("too many logouts wait")]
    Busy,
    /// The store failed.
    #[error("the store of logouts failed: {reason}")]
    Store { reason: String },
}

impl LogoutError {
    pub(super) fn code(&self) -> &'static str {
        match self {
            LogoutError::Request { .. } => "backchannel.request",
            LogoutError::Token(error) => error.code(),
            LogoutError::Unavailable(error) => error.code(),
            LogoutError::Busy => "backchannel.busy",
            LogoutError::Store { .. } => "backchannel.store",
        }
    }
}

/// A logout token, verified already if its key can only be awaited.
enum Token {
    Text(String),
    Verified(Box<ValidatedToken<LogoutToken>>),
}

/// A logout token in the queue.
struct Pending {
    verifier: RemoteVerifier<LogoutToken>,
    token: Token,
    /// A send fails if the provider has hung up.
    answer: oneshot::Sender<Result<(), LogoutError>>,
}

/// A logout to be recorded.
struct Accepted {
    logout: Logout,
    answer: oneshot::Sender<Result<(), LogoutError>>,
}

/// The entrance of the queue. The tasks of the queue end with the last clone.
#[derive(Clone, Debug)]
pub(super) struct Queue {
    issuers: Arc<RemoteIssuers<LogoutToken>>,
    entrance: mpsc::Sender<Pending>,
}

impl Queue {
    /// Spawns the tasks of the queue.
    pub(super) fn start<S: LogoutStore>(
        issuers: Arc<RemoteIssuers<LogoutToken>>,
        store: Arc<S>,
        kept_for: Duration,
    ) -> Self {
        let (entrance, mut queue) = mpsc::channel(WAITING);
        let (accepted, mut recordings) = mpsc::channel(BATCH);
        // The work on a batch is a task of its own: a panic of an algorithm or of the store is the failure of one batch.
        tokio::spawn(async move {
            let mut batch = Vec::with_capacity(BATCH);
            while queue.recv_many(&mut batch, BATCH).await > 0 {
                let batch = std::mem::take(&mut batch);
                drop(tokio::spawn(verify(batch, kept_for, accepted.clone())).await);
            }
        });
        tokio::spawn(async move {
            let mut batch = Vec::with_capacity(BATCH);
            while recordings.recv_many(&mut batch, BATCH).await > 0 {
                let batch = std::mem::take(&mut batch);
                drop(tokio::spawn(record(batch, Arc::clone(&store))).await);
            }
        });
        Self { issuers, entrance }
    }

    /// Verifies a logout token and records it. Waits for a fetch of keys if no known key verifies it.
    pub(super) async fn log_out(&self, token: String) -> Result<(), LogoutError> {
        let verifier = self.issuers.select(&token)?;
        let mut renewal = verifier.keys().renewal();
        loop {
            let mut result = self.enqueue(verifier, Token::Text(token.clone())).await;
            if let Err(LogoutError::Token(error)) = &result
                && error.unavailable().is_some()
            {
                // Awaited here, so that a slow device holds up no batch.
                result = match verifier.verifier().verify_async(&token, verifier.now()).await {
                    Ok(verified) => self.enqueue(verifier, Token::Verified(Box::new(verified))).await,
                    Err(error) => Err(error.into()),
                };
            }
            match result {
                Err(LogoutError::Token(error)) if renewal.renew(&token, &error).await? => {}
                settled => return settled,
            }
        }
    }

    async fn enqueue(&self, verifier: &RemoteVerifier<LogoutToken>, token: Token) -> Result<(), LogoutError> {
        let lost = || LogoutError::Store { reason: "the work was lost".to_owned() };
        let (answer, answered) = oneshot::channel();
        let verifier = verifier.clone();
        self.entrance.try_send(Pending { verifier, token, answer }).map_err(|error| match error {
            TrySendError::Full(_) => LogoutError::Busy,
            TrySendError::Closed(_) => lost(),
        })?;
        answered.await.unwrap_or_else(|_| Err(lost()))
    }
}

/// Verifies a batch, passes on what is accepted, and answers what is refused.
async fn verify(batch: Vec<Pending>, kept_for: Duration, accepted: mpsc::Sender<Accepted>) {
    // Fails if the task that records has ended: the answer is dropped then, which is a failure of the store.
    let accept = async |token, now, answer| {
        drop(accepted.send(Accepted { logout: Logout::of(token, now, kept_for), answer }).await);
    };
    for group in by_issuer(batch) {
        let verifier = group[0].verifier.clone();
        let (mut tokens, mut answers) = (Vec::with_capacity(group.len()), Vec::with_capacity(group.len()));
        for Pending { token, answer, .. } in group {
            match token {
                Token::Text(token) => {
                    tokens.push(token);
                    answers.push(answer);
                }
                Token::Verified(token) => accept(*token, verifier.now(), answer).await,
            }
        }
        let mut answers = answers.into_iter();
        for tokens in tokens.chunks(AT_ONCE) {
            let tokens: Vec<&str> = tokens.iter().map(String::as_str).collect();
            let now = verifier.now();
            let results = verifier.verifier().verify_batch(&tokens, now);
            for (result, answer) in results.into_iter().zip(&mut answers) {
                match result {
                    Ok(token) => accept(token, now, answer).await,
                    Err(error) => drop(answer.send(Err(error.into()))),
                }
            }
            tokio::task::yield_now().await;
        }
    }
}

/// Records a batch, and answers.
async fn record<S: LogoutStore>(batch: Vec<Accepted>, store: Arc<S>) {
    let (logouts, answers): (Vec<_>, Vec<_>) =
        batch.into_iter().map(|Accepted { logout, answer }| (logout, answer)).unzip();
    let failed = |reason: String| LogoutError::Store { reason };
    let result = match tokio::time::timeout(STORE_TIME, store.record(&logouts)).await {
        Ok(result) => result.map_err(|error| failed(error.to_string())),
        Err(_) => Err(failed("it took too long".to_owned())),
    };
    for answer in answers {
        drop(answer.send(result.clone()));
    }
}

fn by_issuer(batch: Vec<Pending>) -> Vec<Vec<Pending>> {
    let mut groups: Vec<Vec<Pending>> = Vec::new();
    for pending in batch {
        match groups.iter_mut().find(|group| group[0].verifier.issuer() == pending.verifier.issuer()) {
            Some(group) => group.push(pending),
            None => groups.push(vec![pending]),
        }
    }
    groups
}
