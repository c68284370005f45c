//! Test data of other projects, read from `../shared/data` beside this project and never copied.

use std::path::{Path, PathBuf};

/// Returns the path of a file of the shared data. Where the file is absent, prints a note and
/// returns `None`; fails instead if `CLAIMGATE_REQUIRE_TEST_DATA` is set.
pub(crate) fn find(file: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data").join(file);
    if path.exists() {
        return Some(path);
    }
    let required = std::env::var_os("CLAIMGATE_REQUIRE_TEST_DATA").is_some();
    assert!(!required, "{} is required and absent", path.display());
    println!("{file}: absent, nothing compared");
    None
}
