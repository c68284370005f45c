//! `claimgate serve`.

use std::path::{Path, PathBuf};

use tokio::signal::unix::SignalKind;
use tokio::sync::mpsc;

use super::configuration::load;
use super::database::open_for_server;
use super::logging::LogArguments;
use super::rights::{self, Owners};
use super::runtime::{listen_for, runtime, stop_signal};
use crate::command::output::Failure;
use crate::editing::ConfigFile;
use crate::web::reload::{Answer, Reload, Source};
use crate::web::{Server, run};
use claimgate_config::{Config, Extensions, Severity};

#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
    claimgate serve --config /etc/claimgate/claimgate.toml\n  \
    claimgate serve --config claimgate.toml \\\n    --log-level debug --log-format text\n\n\
    SIGHUP reloads the configuration without dropping a request (except listen addresses and the \
    database, which need a restart); SIGTERM and SIGINT finish the requests in progress and stop.\n\
    Exit codes: 0 stopped by a signal, 2 the configuration or the system does not allow it.")]
pub(crate) struct Arguments {
    /// The configuration file
    #[arg(long, value_name = "FILE", default_value = "claimgate.toml")]
    config: PathBuf,
    #[command(flatten)]
    log: LogArguments,
}

impl Arguments {
    pub(crate) fn run(self, extensions: &Extensions) -> Result<(), Failure> {
        self.log.start()?;
        let config = load(&self.config, extensions)?;
        runtime()?.block_on(serve(config, &self.config, extensions))
    }
}

async fn serve(config: Config, file: &Path, extensions: &Extensions) -> Result<(), Failure> {
    let usage = |error: &dyn std::fmt::Display| Failure::Usage(error.to_string());
    let Some(settings) = &config.server else {
        return Err(Failure::Usage(format!(
            "{}: there is no [server] section; write at least\n\n[server]\npublic_url = \"https://sso.example.com\"",
            file.display()
        )));
    };
    log_warnings(&config, file);
    let store = open_for_server(&settings.store).await?;
    let server = Server::new(config, store.0.clone()).map_err(|error| usage(&error))?;
    let (requests, configs) = reloads(file, extensions)?;
    server.set_source(Source { file: ConfigFile::new(file, extensions), requests });
    run::run(server, stop_signal()?, configs).await.map_err(|error| usage(&error))
}

/// Logs what `config check` warns of, without a query of files that are used later.
fn log_warnings(config: &Config, file: &Path) {
    let warnings = config.notes.iter().filter(|note| note.severity == Severity::Warning).cloned();
    for note in warnings.chain(rights::warnings(config, file, &Owners::of_this_process())) {
        let (place, setting) = (format!("{}{}", note.file, note.position), &note.setting);
        tracing::warn!(code = note.code(), place, setting, "{}", note.reason);
    }
}

/// Loads the configuration again on each SIGHUP, and on each request to the returned sender, and sends it to the returned
/// receiver. Signals that arrive while one reload waits count as one.
fn reloads(
    file: &Path,
    extensions: &Extensions,
) -> Result<(mpsc::Sender<Answer>, mpsc::Receiver<Reload>), Failure> {
    let mut hangup = listen_for(SignalKind::hangup())?;
    let (requests, mut pending) = mpsc::channel(1);
    let of_signals = requests.clone();
    tokio::spawn(async move {
        while hangup.recv().await.is_some() {
            let _ = of_signals.try_send(None);
        }
    });
    let (file, extensions) = (file.to_owned(), extensions.clone());
    let (sender, configs) = mpsc::channel(1);
    tokio::spawn(async move {
        while let Some(answer) = pending.recv().await {
            let config = match Config::load(&file, &extensions) {
                Ok(config) => {
                    log_warnings(&config, &file);
                    Ok(config)
                }
                Err(error) => {
                    tracing::error!(code = error.code(), %error, "the new configuration is not used; the old one stays in force");
                    Err(error.to_string())
                }
            };
            if sender.send(Reload { config, answer }).await.is_err() {
                return;
            }
        }
    });
    Ok((requests, configs))
}
