//! `claimgate query`: the values that a claim path selects.

use claimgate::json;
use claimgate::limits::Limits;
use claimgate::path::{ClaimPath, PathError};
use serde_json::json;

use super::{input, jsonl};
use crate::command::output::{self, Failure, Format};

#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
    claimgate query '$.realm_access.roles[*]' claims.json\n  \
    claimgate query http://www.example.com/roles claims.json\n  \
    claimgate query --jsonl questions.jsonl\n\n\
    A line for --jsonl: {\"id\":1,\"path\":\"$.a\",\"document\":{\"a\":1}}\n\
    A path that begins with $ is a JSONPath (RFC 9535); any other is the literal name of a top-level member.")]
pub(crate) struct Arguments {
    /// Answer JSON lines, each with its own path and document
    #[arg(long)]
    jsonl: bool,
    /// The path, then the file of the document or `-` for standard input (with --jsonl: the file alone)
    #[arg(value_name = "PATH [FILE|-]", num_args = 0..=2)]
    words: Vec<String>,
    /// Output format: one value per line, or one JSON array
    #[arg(long, value_enum, default_value = "text", conflicts_with = "jsonl")]
    format: Format,
}

impl Arguments {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let words: Vec<&str> = self.words.iter().map(String::as_str).collect();
        if self.jsonl {
            return match words.as_slice() {
                [] => jsonl::run("-", &jsonl::QueryAnswerer),
                [file] => jsonl::run(file, &jsonl::QueryAnswerer),
                _ => Err(Failure::Usage("with --jsonl give one file, or none for standard input".to_owned())),
            };
        }
        let (path, file) = match words.as_slice() {
            [path] => (*path, "-"),
            [path, file] => (*path, *file),
            _ => return Err(Failure::Usage("give a path, and a file or `-`; see --help".to_owned())),
        };
        let limits = Limits { json_items: 1_000_000, json_depth: 100, ..Limits::DEFAULT };
        let refused = |error: PathError| {
            let failure = Failure::Refused { code: error.code(), message: error.to_string() };
            match self.format {
                Format::Text => failure,
                Format::Json => {
                    let answer = json!({"code": error.code(), "message": error.to_string()});
                    output::document(&answer, Format::Json).err().unwrap_or(failure)
                }
            }
        };
        let written = path;
        let path = ClaimPath::parse(path).map_err(refused)?;
        let document = json::parse(json::without_byte_order_mark(&input::read(file)?), &limits)
            .map_err(|error| Failure::Usage(format!("{file}: the document {error}")))?;
        let values = path.select(&document, &Limits::DEFAULT).map_err(refused)?;
        if values.is_empty() {
            eprintln!("note: {}", output::escaped(&nothing(written, &path)));
        }
        match self.format {
            Format::Json => output::document(&json!(values), Format::Json),
            Format::Text => {
                let lines: String = values.iter().map(|value| format!("{value}\n")).collect();
                output::write(output::escaped(&lines).as_bytes())
            }
        }
    }
}

/// Returns why a path selects nothing, and how it is written if it looks like one within an object.
fn nothing(written: &str, path: &ClaimPath) -> String {
    if !path.is_literal() {
        return "the path selects nothing in this document".to_owned();
    }
    let hint = if written.contains(['.', '[']) && !written.contains("://") {
        format!(
            "; a path within an object begins with $: `$.{written}`, and ends with `[*]` for the members of a list"
        )
    } else {
        String::new()
    };
    format!("the document has no member named `{written}`, dots included{hint}")
}
