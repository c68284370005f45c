//! A reload of the configuration: asked for by a signal or by the console, which waits for what becomes of it.

use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use crate::editing::ConfigFile;
use claimgate_config::Config;

/// Longest time that a page waits for a reload.
const PATIENCE: Duration = Duration::from_secs(20);

/// What became of a reload: the settings that take effect at the next start, or why the old configuration stays in use.
pub(crate) type Outcome = Result<Vec<&'static str>, String>;

/// Takes the outcome, if it is waited for.
pub(crate) type Answer = Option<oneshot::Sender<Outcome>>;

/// A configuration that was read again, or why it cannot be used.
pub struct Reload {
    pub(crate) config: Result<Config, String>,
    pub(crate) answer: Answer,
}

/// The file of the configuration, and how a reload of it is asked for.
pub(crate) struct Source {
    pub(crate) file: ConfigFile,
    pub(crate) requests: mpsc::Sender<Answer>,
}

impl Source {
    /// Has the file read again, and waits until it is in use.
    pub(crate) async fn reload(&self) -> Outcome {
        let (answer, outcome) = oneshot::channel();
        let stopped = || "the server stops".to_owned();
        self.requests.send(Some(answer)).await.map_err(|_| stopped())?;
        match tokio::time::timeout(PATIENCE, outcome).await {
            Ok(outcome) => outcome.map_err(|_| stopped())?,
            Err(_) => Err("it takes longer than usual: see the log".to_owned()),
        }
    }
}

/// Passes an outcome on, if it is waited for.
pub(crate) fn answer(answer: Answer, outcome: Outcome) {
    if let Some(answer) = answer {
        // A page that does not wait any more.
        drop(answer.send(outcome));
    }
}
