//! What the command prints, and how it ends.

use std::io::Write;
use std::process::ExitCode;

use serde_json::Value;

/// How results are printed.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// For people
    Text,
    /// For programs: one JSON document
    Json,
}

/// Why the command did not do what it was asked for.
pub(crate) enum Failure {
    /// The token, path or claims were refused, for a reason with a code.
    Refused { code: &'static str, message: String },
    /// The arguments or the input's form are wrong.
    Usage(String),
    /// Whoever read the output has stopped; nothing is left to say.
    ReaderGone,
}

impl Failure {
    pub(crate) fn report(&self) {
        match self {
            Failure::Refused { code, message } => eprintln!("error[{code}]: {}", plain(message)),
            Failure::Usage(message) => eprintln!("error: {}", plain(message)),
            Failure::ReaderGone => {}
        }
    }

    pub(crate) fn exit_code(&self) -> ExitCode {
        match self {
            Failure::Refused { .. } => ExitCode::from(1),
            Failure::Usage(_) => ExitCode::from(2),
            Failure::ReaderGone => ExitCode::SUCCESS,
        }
    }
}

/// Writes bytes to standard output.
pub(crate) fn write(bytes: &[u8]) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    out.write_all(bytes)?;
    Ok(out.flush()?)
}

/// Prints a JSON document, indented for people, on one line for programs.
pub(crate) fn document(value: &Value, format: Format) -> Result<(), Failure> {
    let text = match format {
        Format::Text => format!("{value:#}"),
        Format::Json => value.to_string(),
    };
    write(format!("{}\n", escaped(&text)).as_bytes())
}

/// JSON text whose strings hold nothing that could steer a terminal or reorder what it shows:
/// serde_json escapes below U+0020; this escapes DEL, the C1 controls and the bidirectional marks.
pub(crate) fn escaped(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for character in json.chars() {
        if steers(character) {
            out.push_str(&format!("\\u{:04x}", character as u32));
        } else {
            out.push(character);
        }
    }
    out
}

/// A message in which control characters are shown, not obeyed.
fn plain(message: &str) -> String {
    let shown = |character: char| {
        let hidden = steers(character) || (character.is_control() && character != '\n');
        if hidden { character.escape_unicode().to_string() } else { character.to_string() }
    };
    message.chars().map(shown).collect()
}

fn steers(character: char) -> bool {
    matches!(character,
        '\u{7f}'..='\u{9f}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}')
}
