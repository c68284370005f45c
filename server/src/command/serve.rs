//! `claimgate serve`.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use crate::config::Config;
use crate::store::Store;
use crate::web::{Server, run};
use claimgate::alg::Registry;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing_subscriber::EnvFilter;

use super::explain::load;
use crate::command::output::{Failure, escaped};

#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
    claimgate serve --config /etc/claimgate/claimgate.toml\n  \
    claimgate serve --config claimgate.toml --log-level debug --log-format text\n\n\
    SIGHUP reloads the configuration without dropping a request (not the addresses, not the\n\
    database); SIGTERM and SIGINT finish what is under way and stop.\n\
    Exit codes: 0 stopped when told to, 2 the configuration or the system does not allow it.")]
pub(crate) struct Arguments {
    /// The configuration file
    #[arg(long, value_name = "FILE", default_value = "claimgate.toml")]
    config: PathBuf,
    #[command(flatten)]
    log: LogArguments,
}

#[derive(clap::Args)]
pub(crate) struct LogArguments {
    /// error, warn, info, debug or trace; debug shows the header and claims of every token
    #[arg(long, value_name = "LEVEL", default_value = "info", env = "CLAIMGATE_LOG")]
    log_level: String,
    /// How lines are written; text on a terminal, else json
    #[arg(long, value_enum, value_name = "FORMAT")]
    log_format: Option<LogFormat>,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum LogFormat {
    Text,
    Json,
}

impl LogArguments {
    pub(crate) fn start(&self) -> Result<(), Failure> {
        // A bare level is ours alone: the libraries below may log what they send.
        let level = self.log_level.as_str();
        let filter = match level {
            "error" | "warn" | "info" | "debug" | "trace" => format!("warn,claimgate={level}"),
            _ => return Err(Failure::Usage("--log-level is error, warn, info, debug or trace".to_owned())),
        };
        let terminal = std::io::stderr().is_terminal();
        let json = self.log_format.map_or(!terminal, |format| format == LogFormat::Json);
        let lines = tracing_subscriber::fmt()
            .with_env_filter(EnvFilter::new(filter))
            .with_writer(|| Plain(std::io::stderr()))
            .with_ansi(terminal);
        if json {
            lines.json().flatten_event(true).init()
        } else {
            lines.init()
        }
        Ok(())
    }
}

/// Writes lines in which nothing from outside steers a terminal or reorders what it shows. Line ends
/// and escape sequences within values the subscriber escapes itself.
struct Plain<W>(W);

impl<W: std::io::Write> std::io::Write for Plain<W> {
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        self.0.write_all(escaped(&String::from_utf8_lossy(line)).as_bytes())?;
        Ok(line.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.0.flush()
    }
}

impl Arguments {
    pub(crate) fn run(self) -> Result<(), Failure> {
        self.log.start()?;
        let config = load(&self.config)?;
        runtime()?.block_on(serve(config, &self.config))
    }
}

pub(crate) fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    run::install_tls();
    tokio::runtime::Runtime::new().map_err(|error| Failure::Usage(format!("no runtime: {error}")))
}

async fn serve(config: Config, file: &Path) -> Result<(), Failure> {
    let usage = |error: &dyn std::fmt::Display| Failure::Usage(error.to_string());
    let Some(settings) = &config.server else {
        return Err(Failure::Usage(format!(
            "{}: there is no [server] section; write at least\n\n[server]\npublic_url = \"https://sso.example.com\"",
            file.display()
        )));
    };
    let store = Store::open(&settings.database).map_err(|error| usage(&error))?;
    let server = Server::new(config, store).await.map_err(|error| usage(&error))?;
    let mut hangup = listen_for(SignalKind::hangup())?;
    let stop = stop_signal()?;
    let (asked, mut reloads) = tokio::sync::mpsc::channel(1);
    tokio::spawn(async move {
        while hangup.recv().await.is_some() {
            // One that waits stands for all that come while it does.
            let _ = asked.try_send(());
        }
    });
    let file = file.to_owned();
    let (configs, receiver) = tokio::sync::mpsc::channel(1);
    tokio::spawn(async move {
        while reloads.recv().await.is_some() {
            match Config::load(&file, &Registry::builtin()) {
                Ok(config) => {
                    if configs.send(config).await.is_err() {
                        return;
                    }
                }
                Err(error) => {
                    tracing::error!(code = error.code(), %error, "the new configuration is not used; the old one goes on");
                }
            }
        }
    });
    run::run(server, stop, receiver).await.map_err(|error| usage(&error))
}

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

fn listen_for(kind: SignalKind) -> Result<Signal, Failure> {
    signal(kind).map_err(|error| Failure::Usage(format!("cannot listen for signals: {error}")))
}
