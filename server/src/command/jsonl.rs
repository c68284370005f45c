//! JSON lines: one question a line in, one answer a line out, in order, on all cores, in constant
//! memory. A malformed line is answered like any other, with a code `input.…`.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io::{BufRead, IsTerminal, Write};

use claimgate::alg::Registry;
use claimgate::claims::{AnyKind, Claims, Policy, TokenKind};
use claimgate::json::{self, JsonError};
use claimgate::jws::{JwsVerifier, VerifiedJws};
use claimgate::key::KeySet;
use claimgate::limits::Limits;
use claimgate::path::ClaimPath;
use claimgate::time::UnixTime;
use claimgate::{Error, base64url};
use indicatif::{ProgressBar, ProgressStyle};
use rayon::prelude::*;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::command::input;
use crate::command::output::{self, Failure};

/// The longest line, in bytes; a longer one is skipped to its end and answered.
const MAX_LINE: usize = 16 * 1024 * 1024;
/// How much input is held at once: a bound on lines and on bytes.
const CHUNK_LINES: usize = 2_048;
const CHUNK_BYTES: usize = 16 * 1024 * 1024;
/// How many lines a worker takes at once: tokens by one algorithm and key set are verified together.
const TOGETHER: usize = 64;
/// How many prepared verifiers a worker keeps.
const KEPT_VERIFIERS: usize = 256;

/// A line asks for far more than a token may hold: a key set, a document to query.
const LINE_LIMITS: Limits = Limits { json_depth: 100, json_items: 2_000_000, ..Limits::DEFAULT };

/// What makes a line malformed.
pub(crate) struct Malformed {
    code: &'static str,
    message: String,
}

impl Malformed {
    fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }
}

/// What a worker keeps between lines.
#[derive(Default)]
pub(crate) struct Worker {
    verifiers: HashMap<String, Result<JwsVerifier, Error>>,
}

impl Worker {
    fn keep(&mut self, identity: &str, built: Result<JwsVerifier, Error>) -> Result<JwsVerifier, Error> {
        if self.verifiers.len() >= KEPT_VERIFIERS {
            self.verifiers.clear();
        }
        self.verifiers.insert(identity.to_owned(), built.clone());
        built
    }
}

type Answer = Result<Map<String, Value>, Malformed>;

/// How one kind of line is answered: many at a time, an answer for each, in order.
pub(crate) type Questions = fn(&mut Worker, Vec<Map<String, Value>>) -> Vec<Answer>;

thread_local! {
    /// Rayon's threads live as long as the process, and so does what they have prepared.
    static WORKER: RefCell<Worker> = RefCell::default();
}

/// Answers every line of a file, or of standard input for `-`.
pub(crate) fn run(file: &str, answer: Questions) -> Result<(), Failure> {
    let mut lines = Lines { reader: input::open(file)?, number: 0 };
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    let progress = progress();
    loop {
        let (chunk, more) = lines.chunk(file)?;
        let answers: Vec<String> = chunk
            .par_chunks(TOGETHER)
            .flat_map_iter(|lines| WORKER.with_borrow_mut(|worker| answer_all(lines, worker, answer)))
            .collect();
        for answer in &answers {
            out.write_all(answer.as_bytes())?;
        }
        out.flush()?;
        progress.inc(answers.len() as u64);
        if !more {
            progress.finish_and_clear();
            return Ok(());
        }
    }
}

/// A progress line on a terminal, nothing elsewhere.
fn progress() -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{human_pos} lines, {per_sec}, {elapsed}");
    ProgressBar::new_spinner().with_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()))
}

struct Line {
    number: u64,
    /// None for a line that is too long.
    text: Option<Vec<u8>>,
}

/// The answers to some lines, in order; those that cannot be read are answered here.
fn answer_all(lines: &[Line], worker: &mut Worker, answer: Questions) -> Vec<String> {
    let mut questions = Vec::with_capacity(lines.len());
    let read: Vec<(Value, Option<Malformed>)> = lines
        .iter()
        .map(|line| match line.parse() {
            Ok(mut members) => {
                let id = members.remove("id").unwrap_or(Value::Null);
                questions.push(members);
                (id, None)
            }
            Err(malformed) => (Value::Null, Some(malformed)),
        })
        .collect();
    let mut answers = answer(worker, questions).into_iter();
    let each = lines.iter().zip(read).map(|(line, (id, malformed))| {
        let answer = match malformed {
            Some(malformed) => Err(malformed),
            None => answers.next().expect("an answer for each question"),
        };
        line.write(&id, answer)
    });
    each.collect()
}

impl Line {
    fn write(&self, id: &Value, answer: Answer) -> String {
        let body = match answer {
            Ok(body) => body,
            Err(malformed) => {
                let message = format!("line {}: {}", self.number, malformed.message);
                object(
                    json!({"valid": false, "code": malformed.code, "message": message, "line": self.number}),
                )
            }
        };
        let mut line = format!("{{\"id\":{id}");
        for (name, value) in &body {
            line.push_str(&format!(",{}:{value}", Value::from(name.as_str())));
        }
        line.push_str("}\n");
        output::escaped(&line)
    }

    fn parse(&self) -> Result<Map<String, Value>, Malformed> {
        let Some(text) = &self.text else {
            return Err(Malformed::new("input.line_too_long", format!("longer than {MAX_LINE} bytes")));
        };
        json::parse_object(text, &LINE_LIMITS).map_err(|error| match error {
            JsonError::DuplicateMember => Malformed::new("input.duplicate", error.to_string()),
            error => Malformed::new("input.json", error.to_string()),
        })
    }
}

struct Lines {
    reader: Box<dyn BufRead + Send>,
    number: u64,
}

impl Lines {
    /// The next lines, and whether there may be more. Blank lines are passed over.
    fn chunk(&mut self, file: &str) -> Result<(Vec<Line>, bool), Failure> {
        let (mut chunk, mut bytes) = (Vec::new(), 0);
        while chunk.len() < CHUNK_LINES && bytes < CHUNK_BYTES {
            let failed = |error: std::io::Error| Failure::Usage(format!("cannot read {file}: {error}"));
            let Some(text) = self.next().map_err(failed)? else { return Ok((chunk, false)) };
            self.number += 1;
            if text.as_ref().is_some_and(|text| text.trim_ascii().is_empty()) {
                continue;
            }
            bytes += text.as_ref().map_or(0, Vec::len);
            chunk.push(Line { number: self.number, text });
        }
        Ok((chunk, true))
    }

    /// The next line; `Some(None)` for one that is too long.
    fn next(&mut self) -> std::io::Result<Option<Option<Vec<u8>>>> {
        let (mut line, mut too_long, mut started) = (Vec::new(), false, false);
        loop {
            let available = self.reader.fill_buf()?;
            if available.is_empty() {
                return Ok(started.then_some((!too_long).then_some(line)));
            }
            started = true;
            let (part, end) = match available.iter().position(|byte| *byte == b'\n') {
                Some(at) => (&available[..at], Some(at + 1)),
                None => (available, None),
            };
            too_long |= line.len() + part.len() > MAX_LINE;
            if too_long {
                line = Vec::new();
            } else {
                line.extend_from_slice(part);
            }
            let used = end.unwrap_or(available.len());
            self.reader.consume(used);
            if end.is_some() {
                return Ok(Some((!too_long).then_some(line)));
            }
        }
    }
}

/// `{"token", "jwks" | "jwk" | "pem" | "secret_b64u", "algorithms", "allow_weak_keys", "policy"}`.
pub(crate) fn verify_lines(worker: &mut Worker, questions: Vec<Map<String, Value>>) -> Vec<Answer> {
    let mut answers: Vec<Option<Answer>> = Vec::new();
    let mut groups: HashMap<String, (JwsVerifier, Vec<(usize, Question)>)> = HashMap::new();
    for (index, members) in questions.into_iter().enumerate() {
        answers.push(match question(worker, members) {
            Ok((identity, Ok(jws), question)) => {
                groups.entry(identity).or_insert_with(|| (jws, Vec::new())).1.push((index, question));
                None
            }
            Ok((_, Err(error), _)) => Some(Ok(refusal(&error))),
            Err(malformed) => Some(Err(malformed)),
        });
    }
    for (jws, questions) in groups.into_values() {
        let tokens: Vec<&str> = questions.iter().map(|(_, question)| question.token.as_str()).collect();
        for ((index, question), verified) in questions.iter().zip(jws.verify_batch(&tokens)) {
            answers[*index] = Some(Ok(judge(question, verified.map_err(Error::from))));
        }
    }
    answers.into_iter().map(|answer| answer.expect("each is answered at once or in its group")).collect()
}

/// A token with what it is to be held against.
struct Question {
    token: String,
    policy: Option<(Policy<AnyKind>, UnixTime)>,
}

type Prepared = (String, Result<JwsVerifier, Error>, Question);

fn question(worker: &mut Worker, mut members: Map<String, Value>) -> Result<Prepared, Malformed> {
    let token = match members.remove("token") {
        Some(Value::String(token)) => token,
        _ => return Err(Malformed::new("input.token", "`token` must be a string")),
    };
    let policy = members.remove("policy").map(policy).transpose()?;
    let identity = Value::Object(members.clone()).to_string();
    let jws = match worker.verifiers.get(&identity) {
        Some(known) => known.clone(),
        None => worker.keep(&identity, verifier(members)?),
    };
    Ok((identity, jws, Question { token, policy }))
}

fn judge(question: &Question, verified: Result<VerifiedJws, Error>) -> Map<String, Value> {
    let verified = match verified {
        Ok(verified) => verified,
        Err(error) => return refusal(&error),
    };
    let header = verified.header();
    let Some((policy, now)) = &question.policy else {
        let claims = json::parse_object(verified.payload(), &Limits::DEFAULT).ok();
        let mut body = object(json!({"valid": true, "header": header.as_object(), "claims": claims}));
        if claims.is_none() {
            body.insert("payload_b64u".to_owned(), base64url::encode(verified.payload()).into());
        }
        return body;
    };
    let claims = Claims::parse(verified.payload(), &Limits::DEFAULT);
    match claims.and_then(|claims| policy.validate(header, &claims, *now).map(|()| claims)) {
        Ok(claims) => {
            object(json!({"valid": true, "header": header.as_object(), "claims": claims.as_value()}))
        }
        Err(error) => refusal(&error.into()),
    }
}

/// `{"path", "document"}`.
pub(crate) fn query_lines(_: &mut Worker, questions: Vec<Map<String, Value>>) -> Vec<Answer> {
    questions.into_iter().map(query).collect()
}

fn query(mut members: Map<String, Value>) -> Answer {
    let Some(Value::String(path)) = members.remove("path") else {
        return Err(Malformed::new("input.path", "`path` must be a string"));
    };
    let Some(document) = members.remove("document") else {
        return Err(Malformed::new("input.document", "`document` is missing"));
    };
    nothing_else(&members)?;
    let selected = ClaimPath::parse(&path).and_then(|path| {
        let values = path.select(&document, &Limits::DEFAULT)?;
        Ok(object(json!({ "values": values })))
    });
    Ok(selected.unwrap_or_else(|error| object(json!({"code": error.code(), "message": error.to_string()}))))
}

fn refusal(error: &Error) -> Map<String, Value> {
    object(json!({"valid": false, "code": error.code(), "message": error.to_string()}))
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(members) => members,
        _ => Map::new(),
    }
}

fn nothing_else(members: &Map<String, Value>) -> Result<(), Malformed> {
    match members.keys().next() {
        Some(name) => Err(Malformed::new("input.member", format!("unknown member `{name}`"))),
        None => Ok(()),
    }
}

/// The verifier for a line's keys and algorithms.
fn verifier(mut members: Map<String, Value>) -> Result<Result<JwsVerifier, Error>, Malformed> {
    let algorithms = match members.remove("algorithms") {
        Some(value) => strings(value)
            .ok_or_else(|| Malformed::new("input.algorithms", "`algorithms` must be a list of strings"))?,
        None => return Err(Malformed::new("input.algorithms", "`algorithms` is missing")),
    };
    let weak = match members.remove("allow_weak_keys") {
        None => false,
        Some(Value::Bool(weak)) => weak,
        Some(_) => {
            return Err(Malformed::new("input.allow_weak_keys", "`allow_weak_keys` must be true or false"));
        }
    };
    let keys = keys(&mut members)?;
    nothing_else(&members)?;
    Ok(match keys {
        Ok(keys) => {
            let keys = if weak { keys.danger_allow_weak_keys() } else { keys };
            Ok(JwsVerifier::new(&Registry::builtin(), &algorithms, &keys, Limits::DEFAULT)
                .map_err(|error| Malformed::new("input.algorithms", error.to_string()))?)
        }
        Err(error) => Err(error.into()),
    })
}

type Keys = Result<KeySet, claimgate::key::KeyError>;

fn keys(members: &mut Map<String, Value>) -> Result<Keys, Malformed> {
    let wrong = |name| Malformed::new("input.key", format!("`{name}` has the wrong type"));
    let mut found = Vec::new();
    for name in ["jwks", "jwk", "pem", "secret_b64u"] {
        let Some(value) = members.remove(name) else { continue };
        found.push(match (name, value) {
            ("jwks", set @ Value::Object(_)) => KeySet::from_jwks(set.to_string().as_bytes(), &LINE_LIMITS),
            ("jwk", key @ Value::Object(_)) => KeySet::from_jwk(key.to_string().as_bytes(), &LINE_LIMITS),
            ("pem", Value::String(text)) => KeySet::from_pem(&text),
            ("secret_b64u", Value::String(text)) => {
                let secret = base64url::decode_secret(text.as_bytes())
                    .map_err(|error| Malformed::new("input.key", format!("`secret_b64u`: {error}")))?;
                Ok(KeySet::from_secret(&secret))
            }
            _ => return Err(wrong(name)),
        });
    }
    match (found.pop(), found.is_empty()) {
        (Some(keys), true) => Ok(keys),
        _ => Err(Malformed::new("input.key", "give exactly one of `jwks`, `jwk`, `pem` and `secret_b64u`")),
    }
}

/// Reads `policy`; also the moment to judge at.
fn policy(value: Value) -> Result<(Policy<AnyKind>, UnixTime), Malformed> {
    let wrong =
        |name: &str| Malformed::new("input.policy", format!("`policy.{name}` has the wrong type or value"));
    let Value::Object(members) = value else {
        return Err(Malformed::new("input.policy", "`policy` must be an object"));
    };
    let kind = match members.get("kind") {
        None => TokenKind::Jwt,
        Some(kind) => TokenKind::deserialize(kind)
            .map_err(|error| Malformed::new("input.policy", format!("`policy.kind`: {error}")))?,
    };
    let (mut policy, mut now) = (Policy::of_kind(kind), None);
    for (name, value) in members {
        let text = || value.as_str().ok_or_else(|| wrong(&name));
        let seconds = || value.as_u64().ok_or_else(|| wrong(&name));
        let list = || strings(value.clone()).ok_or_else(|| wrong(&name));
        policy = match name.as_str() {
            "kind" => policy,
            "issuer" => {
                one_or_many(&value).ok_or_else(|| wrong(&name))?.into_iter().fold(policy, Policy::issuer)
            }
            "audience" => {
                one_or_many(&value).ok_or_else(|| wrong(&name))?.into_iter().fold(policy, Policy::audience)
            }
            "subject" => policy.subject(text()?),
            "jti" => policy.token_id(text()?),
            "nonce" => policy.nonce(text()?),
            "typ" => policy.typ(text()?),
            "leeway" => policy.leeway(seconds()?),
            "max_token_age" => policy.max_token_age(seconds()?),
            "max_age" => {
                let reason = "`policy.max_age` is spelled `policy.max_token_age`";
                return Err(Malformed::new("input.member", reason));
            }
            "require" => policy.require(list()?),
            "now" => {
                now = Some(UnixTime(value.as_i64().ok_or_else(|| wrong(&name))?));
                policy
            }
            "ignore" => list()?.iter().try_fold(policy, |policy, claim| match claim.as_str() {
                "exp" => Ok(policy.ignore_expiry()),
                "nbf" => Ok(policy.ignore_not_before()),
                "iat" => Ok(policy.ignore_issued_at()),
                _ => Err(wrong("ignore")),
            })?,
            _ => return Err(Malformed::new("input.member", format!("unknown member `policy.{name}`"))),
        };
    }
    Ok((policy, now.unwrap_or_else(input::now)))
}

fn strings(value: Value) -> Option<Vec<String>> {
    let Value::Array(values) = value else { return None };
    values.into_iter().map(|value| value.as_str().map(str::to_owned)).collect()
}

/// A string or a list of strings, at least one.
fn one_or_many(value: &Value) -> Option<Vec<String>> {
    match value {
        Value::String(text) => Some(vec![text.clone()]),
        list => strings(list.clone()).filter(|list| !list.is_empty()),
    }
}
