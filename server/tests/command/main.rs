//! The command `claimgate` and its configuration file, run as a process. A new test goes into the file of
//! its subcommand.

mod access_settings;
mod claim_demands;
mod config_notes;
mod configuration;
mod database;
mod decode;
mod doctor;
mod documented_configurations;
mod explain;
mod help;
mod init;
mod jsonl;
mod keys;
mod log;
mod mapping_test;
mod operator;
mod owners;
mod pages_settings;
mod presented_tokens;
mod query;
mod refused_settings;
mod security_event_settings;
mod store_settings;
mod support;
mod verify;
