//! The whole `claimgate` command and server with ES256K beside the built-in algorithms.
//!
//! `cargo run --example claimgate_es256k -- algorithms`

mod es256k;
#[cfg(test)]
mod tests;

use std::process::ExitCode;
use std::sync::Arc;

use claimgate_server::Command;

fn main() -> ExitCode {
    Command::new().name("claimgate-es256k").register(Arc::new(es256k::Es256k)).run()
}
