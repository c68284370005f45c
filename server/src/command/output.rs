//! Output on standard output, and failures with their exit codes.

use std::io::Write;
use std::process::ExitCode;

use claimgate::oidc::accounts::AccountError;
use claimgate::oidc::records::StoreError;
use claimgate::sign::SignError;
use claimgate::text::is_unsafe;
use serde_json::Value;

/// The output format.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// For people
    Text,
    /// For programs: one JSON document on one line
    Json,
}

/// Why a subcommand failed.
pub(crate) enum Failure {
    /// The token, the path or the claims were refused.
    Refused { code: &'static str, message: String },
    /// The arguments are wrong or an input cannot be read.
    Usage(String),
    /// Standard output was closed by its reader.
    OutputClosed,
}

impl Failure {
    /// Prints the failure to standard error.
    pub(crate) fn report(&self) {
        match self {
            Failure::Refused { code, message } => eprintln!("error[{code}]: {}", plain(message)),
            Failure::Usage(message) => eprintln!("error: {}", plain(message)),
            Failure::OutputClosed => {}
        }
    }

    /// Returns the exit code of the process.
    pub(crate) fn exit_code(&self) -> ExitCode {
        match self {
            Failure::Refused { .. } => ExitCode::from(1),
            Failure::Usage(_) => ExitCode::from(2),
            Failure::OutputClosed => ExitCode::SUCCESS,
        }
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        if error.kind() == std::io::ErrorKind::BrokenPipe {
            Failure::OutputClosed
        } else {
            Failure::Usage(format!("cannot write the output: {error}"))
        }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Failure::Usage(error.to_string())
    }
}

impl From<AccountError> for Failure {
    fn from(error: AccountError) -> Self {
        match error {
            AccountError::Store(error) => error.into(),
            AccountError::Username(_) | AccountError::Text { .. } => Failure::Usage(error.to_string()),
            error => Failure::Refused { code: error.code(), message: error.to_string() },
        }
    }
}

impl From<SignError> for Failure {
    fn from(error: SignError) -> Self {
        Failure::Usage(format!("{error} [{}]", error.code()))
    }
}

/// Writes bytes to standard output.
pub(crate) fn write(bytes: &[u8]) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    out.write_all(bytes)?;
    Ok(out.flush()?)
}

/// Writes a text for people to standard output. What it names may be another party's: a file, a case, a claim.
pub(crate) fn text(text: &str) -> Result<(), Failure> {
    write(plain(text).as_bytes())
}

/// Prints a JSON document: indented for people, on one line for programs.
pub(crate) fn document(value: &Value, format: Format) -> Result<(), Failure> {
    let text = match format {
        Format::Text => format!("{value:#}"),
        Format::Json => value.to_string(),
    };
    write(format!("{}\n", escaped(&text)).as_bytes())
}

/// Escapes the characters of a JSON text that are unsafe to show. Those below U+0020 stay: within strings
/// serde_json has escaped them, between them they lay out the text.
pub(crate) fn escaped(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for character in json.chars() {
        if character >= ' ' && is_unsafe(character) {
            for unit in character.encode_utf16(&mut [0; 2]) {
                out.push_str(&format!("\\u{unit:04x}"));
            }
        } else {
            out.push(character);
        }
    }
    out
}

/// Escapes the unsafe characters of a message, except line ends.
fn plain(message: &str) -> String {
    message.split('\n').map(one_line).collect::<Vec<_>>().join("\n")
}

/// Escapes the unsafe characters of a text, line ends among them.
pub(crate) fn one_line(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        if is_unsafe(character) {
            out.extend(character.escape_unicode());
        } else {
            out.push(character);
        }
    }
    out
}
