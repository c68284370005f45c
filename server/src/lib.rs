//! The `claimgate` command as a library: the whole command and server with algorithms of your own.
//!
//! ```no_run
//! # use claimgate::alg::{Algorithm, PreparedKey};
//! # use claimgate::key::{KeyError, VerificationKey};
//! # struct Es256k;
//! # impl Algorithm for Es256k {
//! #     fn name(&self) -> &str { "ES256K" }
//! #     fn prepare(&self, _: &VerificationKey) -> Result<Arc<dyn PreparedKey>, KeyError> {
//! #         Err(KeyError::WrongFamily)
//! #     }
//! # }
//! use std::process::ExitCode;
//! use std::sync::Arc;
//!
//! use claimgate_server::Command;
//!
//! fn main() -> ExitCode {
//!     Command::new().register(Arc::new(Es256k)).run()
//! }
//! ```
//!
//! Such a program has every subcommand of `claimgate`, and all that verify know `Es256k`:
//! `algorithms` lists it, `--alg ES256K` allows it in `verify`, and `algorithms = ["ES256K"]` allows
//! it for a provider in the configuration file of `serve`, `explain` and `config check`.
//! `docs/guide/algorithms.md` is a guide to writing an algorithm; `examples/claimgate_es256k` is the
//! complete program.
//!
//! To verify tokens in a program of your own, without the command and the server, use the [`claimgate`]
//! crate.

mod plural;
mod system;
#[doc(hidden)]
pub mod store;
mod editing;
#[doc(hidden)]
pub mod web;
mod demo;
mod command;

pub use command::Command;
