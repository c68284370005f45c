//! The condition of a database, for its operator: what follows it, waits, grows and is full. Read without changing
//! anything; what PostgreSQL hides from the user is `None`.

use std::time::Duration;

use tokio_postgres::Client;

use super::connection::Server;
use super::error::PostgresError;
use super::rows::read_user;
use super::unreadable;
use crate::store::bad_rows::{BadRows, UNREADABLE};
use crate::store::inspection::username_fault;
use crate::system;
use claimgate::identity::Normalisation;

/// A node that has not beaten for so long counts as stopped or cut off.
const SILENT: &str = "interval '5 seconds'";
/// A transaction that others wait for is named if it has been open for longer.
const LONG_LOCK: Duration = Duration::from_secs(2);
/// Any transaction is named if it has been open for longer.
const LONG_TRANSACTION: Duration = Duration::from_secs(600);
/// Users that are read at once.
const PAGE: i64 = 10_000;
/// Most users that are named for each fault.
const MOST_NAMED: usize = 20;

/// The condition of a database.
#[derive(Clone, Debug, Default)]
pub struct Condition {
    /// Settings of the server that are off, and without which it loses or keeps what it should not.
    pub switched_off: Vec<String>,
    /// The connections to standbys.
    pub standbys: i64,
    /// How many of them are synchronous.
    pub synchronous_standbys: Option<i64>,
    /// The nodes that beat.
    pub nodes: i64,
    /// The nodes that were seen within the time for which the feed is kept, and do not beat.
    pub silent_nodes: i64,
    /// The time since the newest beat; `None` if there was none.
    pub beat_age: Option<Duration>,
    /// The newest version of the schema that the oldest program among the nodes that beat knows.
    pub oldest_program: Option<i32>,
    /// The transactions that others wait for.
    pub holders: Vec<Holder>,
    /// The transactions that have been open for long.
    pub old_transactions: Vec<Holder>,
    /// The connections of the server, and how many an ordinary user can have.
    pub connections: (i64, i64),
    /// The largest tables first.
    pub tables: Vec<Table>,
    /// What is over and still there, and for how long it has been over.
    pub overdue: Vec<(String, Duration)>,
    /// Seconds by which this machine's clock is ahead of the server's.
    pub clock_ahead: f64,
    /// The faults of rows, one each.
    pub bad_rows: Vec<String>,
}

/// A transaction.
#[derive(Clone, Debug)]
pub struct Holder {
    /// The number of its process, for `pg_terminate_backend`; `None` for a prepared transaction.
    pub process: Option<i32>,
    /// The user and the program, or the name of a prepared transaction.
    pub name: String,
    /// For how long it has been open.
    pub age: Option<Duration>,
    /// How many transactions wait for it.
    pub waiting: i64,
}

/// A table with its indexes. Rows are an estimate.
#[derive(Clone, Debug)]
pub struct Table {
    /// Its name.
    pub name: String,
    /// Its size.
    pub bytes: i64,
    /// The rows.
    pub rows: i64,
    /// The rows that were deleted or replaced, and whose space is not yet free.
    pub dead: i64,
}

/// Reads the condition of a database that has a schema.
///
/// # Errors
/// A [`PostgresError`].
pub async fn inspect(server: &Server, normalisation: Normalisation) -> Result<Condition, PostgresError> {
    let mut connection = server.connect().await?;
    let client = &*connection.client();
    let mut found = Condition::default();
    found.read_settings(client).await?;
    found.read_nodes(client).await?;
    found.read_transactions(client).await?;
    found.read_sizes(client).await?;
    found.bad_rows = unreadable::describe(client).await?;
    found.read_users(client, normalisation).await?;
    Ok(found)
}

fn seconds(value: Option<f64>) -> Option<Duration> {
    value.map(|seconds| Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(Duration::MAX))
}

impl Condition {
    async fn read_settings(&mut self, client: &Client) -> Result<(), PostgresError> {
        let sql = "SELECT name FROM pg_settings WHERE setting = 'off'
            AND name IN ('fsync', 'full_page_writes', 'autovacuum', 'track_counts') ORDER BY name";
        for row in client.query(sql, &[]).await? {
            self.switched_off.push(row.try_get(0)?);
        }
        // The state of a standby is hidden from ordinary users, and that there is one is not.
        let sql = "SELECT count(*), count(sync_state),
            count(*) FILTER (WHERE sync_state IN ('sync', 'quorum')) FROM pg_stat_replication";
        let row = client.query_one(sql, &[]).await?;
        self.standbys = row.try_get(0)?;
        let shown: i64 = row.try_get(1)?;
        self.synchronous_standbys = (shown == self.standbys).then(|| row.try_get(2)).transpose()?;
        let sql = "SELECT (SELECT sum(numbackends)::bigint FROM pg_stat_database),
            current_setting('max_connections')::bigint - current_setting('superuser_reserved_connections')::bigint
                - coalesce(current_setting('reserved_connections', true), '0')::bigint";
        let row = client.query_one(sql, &[]).await?;
        self.connections = (row.try_get(0)?, row.try_get(1)?);
        let before = system::position().0;
        let row =
            client.query_one("SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint", &[]).await?;
        let (server, after): (i64, i64) = (row.try_get(0)?, system::position().0);
        #[expect(clippy::cast_precision_loss, reason = "a difference of milliseconds")]
        let ahead = (before.midpoint(after) - server) as f64;
        self.clock_ahead = ahead / 1000.0;
        Ok(())
    }

    async fn read_nodes(&mut self, client: &Client) -> Result<(), PostgresError> {
        let sql = format!(
            "SELECT count(*) FILTER (WHERE beats), count(*) FILTER (WHERE NOT beats),
                extract(epoch FROM clock_timestamp() - max(seen))::double precision, min(schema) FILTER (WHERE beats)
            FROM (SELECT *, seen > clock_timestamp() - {SILENT} AS beats FROM nodes WHERE isfinite(seen)) AS known"
        );
        let row = client.query_one(&sql, &[]).await?;
        (self.nodes, self.silent_nodes) = (row.try_get(0)?, row.try_get(1)?);
        self.beat_age = seconds(row.try_get(2)?);
        self.oldest_program = row.try_get(3)?;
        Ok(())
    }

    async fn read_transactions(&mut self, client: &Client) -> Result<(), PostgresError> {
        let columns = "a.pid, coalesce(nullif(concat_ws(', ', a.usename, nullif(a.application_name, '')), ''), a.backend_type,
                'unnamed'), extract(epoch FROM now() - a.xact_start)::double precision";
        // The first of those that wait for one another.
        let sql = format!(
            "SELECT {columns}, count(DISTINCT waiting.pid)
            FROM pg_stat_activity AS waiting CROSS JOIN LATERAL unnest(pg_blocking_pids(waiting.pid)) AS by (pid)
            JOIN pg_stat_activity AS a ON a.pid = by.pid
            WHERE waiting.datname = current_database() AND cardinality(pg_blocking_pids(a.pid)) = 0
            GROUP BY 1, 2, 3"
        );
        for row in client.query(&sql, &[]).await? {
            let (age, waiting) = (seconds(row.try_get(2)?), row.try_get(3)?);
            let holder = Holder { process: Some(row.try_get(0)?), name: row.try_get(1)?, age, waiting };
            self.holders.extend(Some(holder).filter(|holder| holder.age.is_none_or(|age| age > LONG_LOCK)));
        }
        let sql = format!(
            "SELECT {columns} FROM pg_stat_activity AS a WHERE datname = current_database()
            UNION ALL
            SELECT NULL, 'prepared transaction ' || gid,
                extract(epoch FROM now() - prepared)::double precision
            FROM pg_prepared_xacts WHERE database = current_database()"
        );
        for row in client.query(&sql, &[]).await? {
            let age = seconds(row.try_get(2)?);
            if age.is_some_and(|age| age > LONG_TRANSACTION) {
                let (process, name) = (row.try_get(0)?, row.try_get(1)?);
                self.old_transactions.push(Holder { process, name, age, waiting: 0 });
            }
        }
        Ok(())
    }

    async fn read_sizes(&mut self, client: &Client) -> Result<(), PostgresError> {
        let sql = "SELECT relname::text, pg_total_relation_size(relid), n_live_tup, n_dead_tup
            FROM pg_stat_user_tables WHERE schemaname = 'claimgate' ORDER BY 2 DESC, 1";
        for row in client.query(sql, &[]).await? {
            let (name, bytes) = (row.try_get(0)?, row.try_get(1)?);
            self.tables.push(Table { name, bytes, rows: row.try_get(2)?, dead: row.try_get(3)? });
        }
        let sql = "SELECT what, extract(epoch FROM clock_timestamp() - since)::double precision FROM (VALUES
                ('sessions', (SELECT min(expires) FROM sessions)),
                ('logouts', (SELECT min(until) FROM logouts)),
                ('used_states', (SELECT min(until) FROM used_states))
            ) AS oldest (what, since) WHERE isfinite(since) AND since < clock_timestamp()";
        for row in client.query(sql, &[]).await? {
            self.overdue.push((row.try_get(0)?, seconds(row.try_get(1)?).unwrap_or_default()));
        }
        Ok(())
    }

    /// Reads every user: rows that cannot be read, and usernames that no sign-in finds.
    async fn read_users(
        &mut self,
        client: &Client,
        normalisation: Normalisation,
    ) -> Result<(), PostgresError> {
        let sql =
            "SELECT id, username, kind, active, profile, teams FROM users WHERE id > $1 ORDER BY id LIMIT $2";
        let (mut last, mut faults, mut bad) = (i64::MIN, Vec::new(), BadRows::default());
        let mut unreadable = Vec::new();
        loop {
            let rows = client.query(sql, &[&last, &PAGE]).await?;
            let Some(newest) = rows.last() else { break };
            last = newest.try_get(0)?;
            for row in &rows {
                let Some(user) = bad.read(read_user(row, 0)).flatten() else {
                    let name = row.try_get::<_, String>(1).ok().filter(|_| unreadable.len() < MOST_NAMED);
                    unreadable.extend(name.map(|name| format!("{name:?}")));
                    continue;
                };
                let fault = match username_fault(&user.username, normalisation) {
                    Some(Ok(normal)) => format!("sign-ins look up {normal:?}; see `claimgate user rename`"),
                    Some(Err(error)) => error.to_string(),
                    None => continue,
                };
                faults.push(format!(
                    "user {}, {:?}, breaks the rules of usernames: {fault}",
                    user.id.0, user.username
                ));
            }
        }
        if let Some(reason) = bad.describe() {
            let names = unreadable.join(", ");
            self.bad_rows.push(format!("of the table users {reason}: {names}; {UNREADABLE}"));
        }
        let more = faults.len().saturating_sub(MOST_NAMED);
        self.bad_rows.extend(faults.into_iter().take(MOST_NAMED));
        if more > 0 {
            self.bad_rows.push(format!("{more} more usernames break the rules"));
        }
        Ok(())
    }
}
