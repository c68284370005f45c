//! Claimgate's relying party over HTTP, and the `claimgate` command.

pub mod config;
pub mod store;
pub mod web;
pub mod demo;
mod system;
pub mod command;
