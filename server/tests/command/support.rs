//! The command as a process, its folders, and keys and tokens for it.
#![allow(dead_code, reason = "each test file uses some of this")]

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use claimgate::sign::SigningKey;
use serde_json::{Map, Value, json};
use tempfile::TempDir;

/// A time at which the tokens of [`claims`] are valid.
pub(crate) const NOW: i64 = 1_700_000_000;

/// The exit code and output of one run.
pub(crate) struct Outcome {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Outcome {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.out).expect(&self.out)
    }

    pub(crate) fn lines(&self) -> Vec<Value> {
        self.out.lines().map(|line| serde_json::from_str(line).expect(line)).collect()
    }
}

/// Runs the command with an input.
pub(crate) fn run_with(arguments: &[&str], input: &[u8]) -> Outcome {
    let mut child = Command::new(env!("CARGO_BIN_EXE_claimgate"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the command starts");
    let mut stdin = child.stdin.take().expect("piped");
    let input = input.to_vec();
    // A command that does not read its input may have ended already.
    let writer = std::thread::spawn(move || drop(stdin.write_all(&input)));
    let output = child.wait_with_output().expect("the command ends");
    writer.join().expect("the writer ends");
    Outcome {
        code: output.status.code().expect("an exit code"),
        out: String::from_utf8(output.stdout).expect("UTF-8"),
        err: String::from_utf8(output.stderr).expect("UTF-8"),
    }
}

pub(crate) fn run(arguments: &[&str]) -> Outcome {
    run_with(arguments, b"")
}

/// A folder of files, removed with the test.
pub(crate) struct Folder(TempDir);

impl Folder {
    pub(crate) fn new() -> Self {
        Self(TempDir::new().expect("a temporary folder"))
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.0.path().join(name).to_str().expect("UTF-8").to_owned()
    }

    pub(crate) fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> String {
        let path = self.path(name);
        std::fs::write(PathBuf::from(&path), bytes).expect("writes");
        path
    }
}

pub(crate) fn key(algorithm: &str) -> SigningKey {
    SigningKey::generate(algorithm, 2048).expect(algorithm).with_kid("k1")
}

pub(crate) fn jwks(keys: &[&SigningKey]) -> Value {
    let keys: Vec<Value> = keys.iter().map(|key| key.public_jwk().expect("public")).collect();
    json!({ "keys": keys })
}

/// The issuer of [`claims`].
pub(crate) const ISSUER: &str = "https://idp.example.com";

pub(crate) fn claims() -> Value {
    json!({"iss": ISSUER, "aud": "crm", "sub": "alice", "exp": NOW + 300, "iat": NOW})
}

pub(crate) fn token(key: &SigningKey, claims: &Value) -> String {
    key.sign(&Map::new(), claims.to_string().as_bytes()).expect("signs")
}

/// The path of a file of the repository.
pub(crate) fn repository_file(name: &str) -> String {
    format!("{}/../{name}", env!("CARGO_MANIFEST_DIR"))
}

/// A time at which the demonstration's token is valid.
pub(crate) const DEMO_NOW: &str = "1795500000";

pub(crate) fn demo_token() -> String {
    std::fs::read_to_string(repository_file("vectors/demo/token.txt")).expect("the demonstration's token")
}
