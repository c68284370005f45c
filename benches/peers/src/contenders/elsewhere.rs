//! The contenders of claimgate-peers-ordered, in its process, over its lines.

use std::cell::RefCell;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::rc::Rc;
use std::time::Duration;

use serde_json::json;

use crate::measure::Contender;
use crate::tokens::{CLIENT, ISSUER, SECRET, Tokens};

/// The other process; it ends when its standard input does.
pub struct Elsewhere(Rc<RefCell<Lines>>);

struct Lines {
    _process: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Elsewhere {
    pub fn start(program: &Path) -> std::io::Result<Self> {
        let mut process = Command::new(program).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let input = process.stdin.take().expect("piped");
        let output = BufReader::new(process.stdout.take().expect("piped"));
        Ok(Self(Rc::new(RefCell::new(Lines { _process: process, input, output }))))
    }

    pub fn contenders(&self, tokens: &Tokens) -> Vec<Box<dyn Contender>> {
        let setup = json!({
            "algorithm": tokens.algorithm, "jwk": tokens.jwk, "secret": SECRET, "issuer": ISSUER,
            "client": CLIENT, "tokens": &*tokens.good,
        });
        let names = self.0.borrow_mut().ask(&setup.to_string());
        let contender = |name: &str| -> Box<dyn Contender> {
            Box::new(Remote { name: name.to_owned(), tokens: tokens.good.len(), lines: Rc::clone(&self.0) })
        };
        names.split_whitespace().map(contender).collect()
    }
}

impl Lines {
    fn ask(&mut self, question: &str) -> String {
        writeln!(self.input, "{question}").expect("the other process listens");
        let mut answer = String::new();
        self.output.read_line(&mut answer).expect("the other process answers");
        answer.trim().to_owned()
    }
}

struct Remote {
    name: String,
    tokens: usize,
    lines: Rc<RefCell<Lines>>,
}

impl Contender for Remote {
    fn name(&self) -> &str {
        &self.name
    }

    fn accepts(&mut self, token: &str) -> bool {
        self.lines.borrow_mut().ask(&format!("accepts {} {token}", self.name)) == "true"
    }

    fn time(&mut self, start: usize, count: usize) -> Duration {
        let question = format!("time {} {} {count}", self.name, start % self.tokens);
        let answer = self.lines.borrow_mut().ask(&question);
        Duration::from_nanos(answer.parse().expect("nanoseconds"))
    }
}
