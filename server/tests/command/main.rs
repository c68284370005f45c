//! The command `claimgate` and its configuration file, run as a process.

mod command;
mod configuration;
mod jsonl;
mod operator;
mod query;
mod support;
mod tools;
mod verify;
