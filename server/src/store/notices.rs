//! Notices of the changes that commands have made: written with the change, logged by the server, then deleted.

use rusqlite::Connection;

use super::bad_rows::BadRows;
use claimgate::identity::{Normalisation, normal_username};

/// The notices that a server has logged.
#[derive(Default)]
pub(super) struct Notices {
    newest: i64,
}

impl Notices {
    /// Logs the new notices and deletes them.
    pub(super) fn log_new(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        let before = self.newest;
        let mut bad = BadRows::default();
        let mut statement =
            connection.prepare("SELECT id, action, about FROM notice WHERE id > ?1 ORDER BY id")?;
        let mut rows = statement.query([before])?;
        while let Some(row) = rows.next()? {
            self.newest = row.get(0)?;
            let notice = || -> rusqlite::Result<(String, String)> { Ok((row.get(1)?, row.get(2)?)) };
            if let Some((action, about)) = bad.read(notice()) {
                tracing::info!(action, about, "changed by a command");
            }
        }
        bad.report("notice");
        if self.newest > before {
            // They are logged once even if they cannot be deleted now, because the disk is full.
            drop(connection.execute("DELETE FROM notice WHERE id <= ?1", [self.newest]));
        }
        Ok(())
    }
}

/// Deletes the notices that name a user: without a server, those of earlier changes are still there.
pub(super) fn forget(connection: &Connection, username: &str) -> rusqlite::Result<()> {
    let mut statement = connection.prepare("SELECT id, about FROM notice")?;
    let (mut found, mut bad) = (Vec::<(i64, String)>::new(), BadRows::default());
    for row in statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))? {
        found.extend(bad.read(row));
    }
    bad.report("notice");
    for (id, _) in found.iter().filter(|(_, about)| names_user(about, username)) {
        connection.execute("DELETE FROM notice WHERE id = ?1", [id])?;
    }
    Ok(())
}

/// Reports whether what a notice is about names a user, as it is kept or in another spelling.
pub(super) fn names_user(about: &str, username: &str) -> bool {
    about.split(" to ").any(|name| {
        let normal = normal_username(name, Normalisation::Default);
        name == username || normal.is_ok_and(|normal| normal == username)
    })
}
