//! The asynchronous runtime, and the signals that end it.

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::command::output::Failure;
use crate::web::run;

/// Starts the asynchronous runtime, with the process's TLS cryptography installed.
pub(crate) fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    run::install_tls();
    tokio::runtime::Runtime::new()
        .map_err(|error| Failure::Usage(format!("cannot start the asynchronous runtime: {error}")))
}

/// Returns a future that completes on SIGTERM or SIGINT.
pub(crate) fn stop_signal() -> Result<impl Future<Output = ()> + Send + 'static, Failure> {
    let mut terminate = listen_for(SignalKind::terminate())?;
    let mut interrupt = listen_for(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

/// Registers a handler for one kind of signal.
pub(crate) fn listen_for(kind: SignalKind) -> Result<Signal, Failure> {
    signal(kind).map_err(|error| Failure::Usage(format!("cannot listen for signals: {error}")))
}
