//! The log on standard error.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use crate::command::output::{Failure, escaped};

#[derive(clap::Args)]
pub(crate) struct LogArguments {
    /// Log level: error, warn, info, debug or trace; debug shows the header and claims of every token
    #[arg(long, value_name = "LEVEL", default_value = "info", env = "CLAIMGATE_LOG")]
    log_level: String,
    /// Log format [default: text on a terminal, json otherwise]
    #[arg(long, value_enum, value_name = "FORMAT")]
    log_format: Option<LogFormat>,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum LogFormat {
    Text,
    Json,
}

impl LogArguments {
    /// Starts logging to standard error.
    pub(crate) fn start(&self) -> Result<(), Failure> {
        // The level applies to Claimgate's crates alone: HTTP libraries log what they send.
        let level = self.log_level.as_str();
        let filter = match level {
            "error" | "warn" | "info" | "debug" | "trace" => format!("warn,claimgate={level}"),
            _ => {
                return Err(Failure::Usage(
                    "--log-level must be error, warn, info, debug or trace".to_owned(),
                ));
            }
        };
        let terminal = std::io::stderr().is_terminal();
        let json = self.log_format.map_or(!terminal, |format| format == LogFormat::Json);
        let lines = tracing_subscriber::fmt()
            // A line that cannot be written is lost: to say so on standard error would panic, and end what logs it.
            .log_internal_errors(false)
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

/// Starts logging warnings to standard error, for a subcommand whose output is not a log.
pub(crate) fn start_warnings() {
    let lines = tracing_subscriber::fmt()
        .log_internal_errors(false)
        .with_env_filter(EnvFilter::new("warn"))
        .with_writer(|| Plain(std::io::stderr()))
        .with_ansi(std::io::stderr().is_terminal());
    // An error means that logging has started already.
    drop(lines.without_time().with_target(false).try_init());
}

/// A writer that escapes characters with which untrusted text could control a terminal or reorder the
/// shown text. The subscriber itself escapes line ends and escape sequences within values.
struct Plain<W>(W);

impl<W: std::io::Write> std::io::Write for Plain<W> {
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        // Most lines are ASCII, of which DEL alone is escaped.
        if line.is_ascii() && !line.contains(&0x7f) {
            self.0.write_all(line)?;
        } else {
            self.0.write_all(escaped(&String::from_utf8_lossy(line)).as_bytes())?;
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn a_line_is_written_as_if_each_character_was_looked_at() {
        for line in ["{\"a\":1}\n", "\t\u{7f}\n", "\u{1b}[0m", "caf\u{e9}\n", "a\u{202e}b\n", ""] {
            let mut out = Plain(Vec::new());
            assert_eq!(out.write(line.as_bytes()).ok(), Some(line.len()));
            assert_eq!(String::from_utf8_lossy(&out.0), escaped(line), "{line:?}");
        }
        let mut out = Plain(Vec::new());
        out.write_all(b"a\xffb\x7f").expect("memory");
        assert_eq!(String::from_utf8_lossy(&out.0), "a\u{fffd}b\\u007f");
    }
}
