//! A database whose disk is full.

use std::fs;
use std::path::Path;
use std::time::Duration;

use claimgate_server::store::postgres::{Logout, PgStore, PostgresError, Settings};
use rustix::fs::statvfs;
use tempfile::TempDir;

use super::engine::{Engine, new_folder, runtime, skip_fault, unprivileged};
use super::nodes::{sign_in, until};
use super::people::{logout, of_sid};
use super::record::{Record, clock};

/// The bound of the node.
const BOUND: Duration = Duration::from_secs(1);
/// Bytes left on the disk when it is filled.
const LEFT: u64 = 1 << 20;

/// A file system in memory. It goes with this value.
struct SmallDisk(TempDir);

impl SmallDisk {
    /// Mounts a disk; `None`, with a line that says so, where this process may not.
    fn mount() -> Option<Self> {
        let folder = new_folder();
        let Some((user, group)) = unprivileged() else {
            skip_fault("file systems cannot be mounted here: not root");
            return None;
        };
        let options = format!("size=32m,mode=0700,uid={user},gid={group}");
        let output = std::process::Command::new("mount")
            .args(["-t", "tmpfs", "-o", &options, "tmpfs"])
            .arg(folder.path())
            .output()
            .unwrap();
        if !output.status.success() {
            let error = String::from_utf8_lossy(&output.stderr).into_owned();
            skip_fault(&format!("file systems cannot be mounted here: {error}"));
            return None;
        }
        Some(Self(folder))
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// Fills the disk but for [`LEFT`].
    fn fill(&self) {
        let disk = statvfs(self.path()).unwrap();
        let free = disk.f_bavail * disk.f_frsize;
        fs::write(self.path().join("filler"), vec![1; usize::try_from(free - LEFT).unwrap()]).unwrap();
    }

    fn free(&self) {
        fs::remove_file(self.path().join("filler")).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: the server may still have files open.
        drop(std::process::Command::new("umount").arg("-l").arg(self.path()).status());
    }
}

fn batch(number: usize) -> Vec<Logout> {
    (0..256).map(|part| logout(&format!("{number}.{part}"), of_sid("other"))).collect()
}

#[test]
fn a_full_disk_refuses_and_loses_nothing_that_was_acknowledged() {
    let Some(disk) = SmallDisk::mount() else { return };
    let Some(engine) = Engine::start() else { return };
    runtime().block_on(async {
        let superuser = engine.superuser("postgres").await;
        let tablespace = format!("CREATE TABLESPACE small LOCATION '{}'", disk.path().display());
        superuser.batch_execute(&tablespace).await.unwrap();
        superuser.batch_execute("CREATE USER small").await.unwrap();
        superuser.batch_execute("CREATE DATABASE small OWNER small TABLESPACE small").await.unwrap();
        let settings = Settings { revocation_bound: BOUND, ..Settings::default() };
        let node = PgStore::open(engine.server("small"), settings).await.unwrap();
        let session = sign_in(&node, "ada", Some("s")).await;
        until(&node, session, Some("ada")).await;

        disk.fill();
        let mut record = Record::default();
        let refused = loop {
            let number = record.len();
            assert!(number < 100_000, "the disk is never full");
            let batch = batch(number);
            match node.apply_logouts(&batch).await {
                Ok(_) => batch.iter().for_each(|logout| record.acknowledge(&logout.jti, None)),
                Err(error) => {
                    let is_full =
                        matches!(&error, PostgresError::Refused(reason) if reason.contains("No space left"));
                    assert!(is_full, "{error}");
                    break batch;
                }
            }
        };
        assert!(record.len() > 0);
        let asked = clock();
        if let Ok(user) = node.ask(session).await {
            assert!(user.is_some(), "the session is live");
        }
        assert!(clock() - asked < Duration::from_secs(10));

        disk.free();
        until(&node, session, Some("ada")).await;
        let results = node.apply_logouts(&refused).await.unwrap();
        assert!(results.iter().all(Result::is_ok), "nothing of the refused batch was kept");
        assert_eq!(record.check(BOUND, &node).await, []);
        let ended = node.apply_logouts(&[logout("last", of_sid("s"))]).await.unwrap();
        assert_eq!(ended[0].as_ref().map(|ended| ended.sessions), Ok(1));
        until(&node, session, None).await;
    });
}
