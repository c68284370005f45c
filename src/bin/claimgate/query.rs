//! `claimgate query`: what a claim path selects.

use claimgate::json;
use claimgate::limits::Limits;
use claimgate::path::{ClaimPath, PathError};

use crate::output::{self, Failure};
use crate::{input, jsonl};

#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
    claimgate query '$.realm_access.roles[*]' claims.json\n  \
    claimgate query http://www.example.com/roles claims.json\n  \
    claimgate query --jsonl questions.jsonl\n\n\
    A line for --jsonl: {\"id\":1,\"path\":\"$.a\",\"document\":{\"a\":1}}\n\
    A path that begins with $ is a JSONPath (RFC 9535); any other is a top-level member's literal name.")]
pub(crate) struct Arguments {
    /// Answer JSON lines, each with its own path and document
    #[arg(long)]
    jsonl: bool,
    /// The path, then the document's file or `-` for standard input (with --jsonl: the file alone)
    #[arg(value_name = "PATH [FILE|-]", num_args = 0..=2)]
    words: Vec<String>,
}

impl Arguments {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let words: Vec<&str> = self.words.iter().map(String::as_str).collect();
        if self.jsonl {
            return match words.as_slice() {
                [] => jsonl::run("-", jsonl::query_line),
                [file] => jsonl::run(file, jsonl::query_line),
                _ => Err(Failure::Usage("with --jsonl give one file, or none for standard input".to_owned())),
            };
        }
        let (path, file) = match words.as_slice() {
            [path] => (*path, "-"),
            [path, file] => (*path, *file),
            _ => return Err(Failure::Usage("give a path, and a file or `-`; see --help".to_owned())),
        };
        let refused = |error: PathError| Failure::Refused { code: error.code(), message: error.to_string() };
        let path = ClaimPath::parse(path).map_err(refused)?;
        let limits = Limits { json_items: 1_000_000, json_depth: 100, ..Limits::DEFAULT };
        let document = json::parse(&input::read(file)?, &limits)
            .map_err(|error| Failure::Usage(format!("{file}: the document is {error}")))?;
        let mut lines = String::new();
        for value in path.select(&document, &Limits::DEFAULT).map_err(refused)? {
            lines.push_str(&value.to_string());
            lines.push('\n');
        }
        output::write(output::escaped(&lines).as_bytes())
    }
}
