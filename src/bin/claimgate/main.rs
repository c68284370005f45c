//! The claimgate command.
fn main() {}
