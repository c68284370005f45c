//! What `claimgate --version` says of the build. Nothing here depends on the time or the place of the build.

use std::env::consts::{ARCH, OS};

/// The commit, which the build of a release sets.
const COMMIT: Option<&str> = option_env!("CLAIMGATE_COMMIT");
/// The compiler, which the build of a release sets.
const COMPILER: Option<&str> = option_env!("CLAIMGATE_RUSTC");

/// Returns a version with the facts of the build, each on a line of its own.
pub(super) fn with_build_facts(version: &str) -> String {
    let libc = match () {
        () if cfg!(target_env = "gnu") => "-gnu",
        () if cfg!(target_env = "musl") => "-musl",
        () => "",
    };
    let profile = if cfg!(debug_assertions) { "debug" } else { "release" };
    format!(
        "{version}\nengine    claimgate {}\ncommit    {}\ncompiler  {}\ntarget    {ARCH}-{OS}{libc}\n\
         profile   {profile}\nSQLite    {}",
        env!("CARGO_PKG_VERSION"),
        COMMIT.unwrap_or("not recorded"),
        COMPILER.unwrap_or("not recorded"),
        rusqlite::version(),
    )
}
