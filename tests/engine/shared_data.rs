//! Test data of other projects, never copied: read from the folder that `CLAIMGATE_TEST_DATA` names, or
//! from `../shared/data` beside this project.

use std::env;
use std::path::{Path, PathBuf};

/// Returns the path of a file or folder of the data. Where it is absent, prints a note and returns
/// `None`; fails instead if `CLAIMGATE_REQUIRE_TEST_DATA` is set.
pub(crate) fn find(file: &str) -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data");
    let path = env::var_os("CLAIMGATE_TEST_DATA").map_or(beside, PathBuf::from).join(file);
    if path.exists() {
        return Some(path);
    }
    let required = env::var_os("CLAIMGATE_REQUIRE_TEST_DATA").is_some();
    assert!(!required, "{} is required and absent", path.display());
    println!("{file}: absent, nothing compared");
    None
}
