//! The beat of a node: a durable write that reads the feed, on a connection of its own.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};
use tokio_postgres::Row;

use super::connection::Server;
use super::error::PostgresError;
use super::feed::{Feed, MAX_STEPS_BEHIND, Reading, Step};
use super::session::{Session, Slot, within};
use crate::store::bad_rows::BadRows;
use crate::system;
use claimgate::oidc::session::SessionId;
use claimgate::oidc::user::UserId;

/// Time between two beats.
const INTERVAL: Duration = Duration::from_millis(100);
/// Longest wait for a beat. Then the connection is dropped, and the beat does not count, whatever became of it.
const BEAT_TIMEOUT: Duration = Duration::from_millis(400);

/// The statement of a beat.
const FOLLOW: &str = "SELECT name, head, seq, ended, users, current_setting('synchronous_standby_names') <> '' FROM follow($1, $2, $3, $4)";

/// Bytes of the random name of a node.
const NODE_NAME_LEN: usize = 16;

/// Follows the feed of a database.
pub(super) struct Follower {
    name: [u8; NODE_NAME_LEN],
    /// The newest version of the schema that the program knows.
    schema: i32,
    slot: Slot,
    feed: Arc<Feed>,
    /// The error of the last beat, which is logged once.
    failure: Option<PostgresError>,
}

impl Follower {
    /// Builds the follower of a node.
    pub(super) fn new(server: Server, feed: Arc<Feed>, schema: i32) -> Self {
        let mut name = [0; NODE_NAME_LEN];
        system::random(&mut name);
        Self { name, schema, slot: Slot::new(server), feed, failure: None }
    }

    /// Beats until the task is aborted.
    pub(super) async fn run(mut self) {
        let mut ticks = interval(INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let failure = self.beat().await.err();
            match &failure {
                Some(error) if failure != self.failure => {
                    tracing::error!(%error, "the changes of other nodes cannot be followed");
                }
                None if self.failure.is_some() => {
                    tracing::info!("the changes of other nodes are followed again")
                }
                _ => {}
            }
            self.failure = failure;
        }
    }

    /// Beats once.
    ///
    /// # Errors
    /// [`PostgresError`]; the lease is not extended.
    pub(super) async fn beat(&self) -> Result<(), PostgresError> {
        let mut held = self.slot.lock().await;
        let session = held.session(None).await?;
        let beat = async {
            // A new connection, far away, needs as long for this as for the beat.
            within(BEAT_TIMEOUT, session.connection.prepare(FOLLOW)).await?;
            within(BEAT_TIMEOUT, self.follow(&session)).await
        };
        let result = beat.await;
        if let Err(error) = &result {
            held.discard(&session, error);
        }
        result
    }

    async fn follow(&self, session: &Session) -> Result<(), PostgresError> {
        let beat = self.feed.begin_beat(system::boot_time());
        let (name, applied, most) = (&self.name[..], beat.applied(), i64::from(MAX_STEPS_BEHIND));
        let rows = session.connection.query(FOLLOW, &[&name, &applied, &most, &self.schema]).await?;
        let (reading, has_standby) = read(&rows)?;
        self.feed.note_standby(has_standby);
        let is_first = self.feed.history().is_none();
        if !self.feed.complete_beat(beat, reading) && !is_first {
            tracing::info!("sessions are read anew: the changes do not follow those known");
        }
        Ok(())
    }
}

/// Reads the rows of a beat, and whether the server has a synchronous standby.
fn read(rows: &[Row]) -> Result<(Reading, bool), PostgresError> {
    let first = rows.first().ok_or_else(|| PostgresError::Refused("a beat read no row".to_owned()))?;
    let mut reading = Reading { history: first.try_get(0)?, head: first.try_get(1)?, steps: Vec::new() };
    let mut bad = BadRows::default();
    for row in rows {
        let Some(position) = row.try_get(2)? else { continue };
        // One that cannot be read is missing then, and the cache is emptied: it may have named any session.
        reading.steps.extend(bad.read(read_step(row, position)));
    }
    bad.report("steps");
    Ok((reading, first.try_get(5)?))
}

fn read_step(row: &Row, position: i64) -> Result<Step, PostgresError> {
    let (ended, users): (Vec<&[u8]>, Vec<i64>) = (row.try_get(3)?, row.try_get(4)?);
    Ok(Step { position, ended: read_ended(&ended)?, users: users.into_iter().map(UserId).collect() })
}

/// Reads the sessions that a step has ended. One that is no identifier may stand for any session.
fn read_ended(ended: &[&[u8]]) -> Result<Vec<SessionId>, PostgresError> {
    let no_id = |_| PostgresError::Unreadable("an ended session has no identifier of 16 bytes".to_owned());
    ended.iter().map(|&id| id.try_into().map(SessionId).map_err(no_id)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_with_a_session_that_is_no_identifier_cannot_be_read() {
        let known: &[u8] = &[7; 16];
        assert!(read_ended(&[known]).is_ok_and(|ended| ended == [SessionId([7; 16])]));
        assert!(read_ended(&[known, &known[1..]]).is_err());
    }
}
