//! JSON lines: one question per line, one answer per line, in order, on all cores, in constant memory.
//! A malformed line is answered too, with a code `input.…`.

mod lines;
mod policy;
mod query;
mod verify;

use std::io::{IsTerminal, Write};

use indicatif::{ProgressBar, ProgressStyle};
use rayon::prelude::*;
use serde_json::{Map, Value, json};

use self::lines::{Line, Lines};
use crate::command::input;
use crate::command::output::{self, Failure};

pub(crate) use self::query::QueryAnswerer;
pub(crate) use self::verify::VerifyAnswerer;

/// Lines that are answered as one piece of work: tokens of one algorithm and key set are verified
/// together.
const LINES_PER_PIECE: usize = 64;

pub(crate) type Members = Map<String, Value>;

/// An answer's members without its `id`.
pub(crate) type Answer = Result<Members, Malformed>;

/// Why a line is malformed.
pub(crate) struct Malformed {
    code: &'static str,
    message: String,
}

impl Malformed {
    fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }
}

/// Answers one kind of line.
pub(crate) trait Answerer: Sync {
    /// Answers several questions: one answer per question, in order.
    fn answer(&self, questions: Vec<Members>) -> Vec<Answer>;
}

/// Answers each line of a file, or of standard input for `-`.
pub(crate) fn run(file: &str, answerer: &impl Answerer) -> Result<(), Failure> {
    let mut lines = Lines::new(input::open(file)?);
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    let progress = progress();
    loop {
        let chunk = lines.chunk().map_err(|error| Failure::Usage(format!("cannot read {file}: {error}")))?;
        let answers: Vec<String> = chunk
            .lines
            .par_chunks(LINES_PER_PIECE)
            .flat_map_iter(|lines| answer_piece(lines, answerer))
            .collect();
        for answer in &answers {
            out.write_all(answer.as_bytes())?;
        }
        out.flush()?;
        progress.inc(answers.len() as u64);
        if chunk.is_last {
            progress.finish_and_clear();
            return Ok(());
        }
    }
}

/// Returns a progress line if standard error is a terminal, else a hidden one.
fn progress() -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{human_pos} lines, {per_sec}, {elapsed}");
    ProgressBar::new_spinner().with_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()))
}

/// Answers some lines, in order. A line that cannot be parsed does not reach the answerer.
fn answer_piece(lines: &[Line], answerer: &impl Answerer) -> Vec<String> {
    let mut questions = Vec::with_capacity(lines.len());
    let parsed: Vec<Result<Value, Malformed>> = lines
        .iter()
        .map(|line| {
            let mut members = line.parse()?;
            let id = members.remove("id").unwrap_or(Value::Null);
            questions.push(members);
            Ok(id)
        })
        .collect();
    let mut answers = answerer.answer(questions).into_iter();
    let written = lines.iter().zip(parsed).map(|(line, parsed)| match parsed {
        Ok(id) => write(line, &id, answers.next().expect("the answerer returns an answer per question")),
        Err(malformed) => write(line, &Value::Null, Err(malformed)),
    });
    written.collect()
}

fn write(line: &Line, id: &Value, answer: Answer) -> String {
    let body = answer.unwrap_or_else(|malformed| {
        let message = format!("line {}: {}", line.number, malformed.message);
        object(json!({"valid": false, "code": malformed.code, "message": message, "line": line.number}))
    });
    let mut text = format!("{{\"id\":{id}");
    for (name, value) in &body {
        text.push_str(&format!(",{}:{value}", Value::from(name.as_str())));
    }
    text.push_str("}\n");
    output::escaped(&text)
}

fn object(value: Value) -> Members {
    match value {
        Value::Object(members) => members,
        _ => Map::new(),
    }
}

/// Rejects a member that no reader has removed.
fn reject_unknown(members: &Members) -> Result<(), Malformed> {
    match members.keys().next() {
        Some(name) => Err(Malformed::new("input.member", format!("unknown member `{name}`"))),
        None => Ok(()),
    }
}
