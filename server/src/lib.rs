//! Claimgate's relying party over HTTP, and the `claimgate` command.

mod system;
pub mod config;
pub mod store;
pub mod web;
pub mod demo;
pub mod command;
