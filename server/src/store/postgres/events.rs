//! Events in PostgreSQL. What adds them holds the order row, so that their numbers follow the order of the commits;
//! what lists them holds nothing.

use std::time::Duration;

use serde_json::json;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use super::administration::Administration;
use super::error::PostgresError;
use super::logouts::tag;
use super::node::PgStore;
use super::session::within;
use crate::store::bad_rows::BadRows;
use crate::store::events::{
    Event, EventCount, EventKind, EventLimits, EventQuery, ListedEvent, MAX_MINUTES, MAX_PAGE, PURGED_EVENTS,
    PageOrder,
};

/// Longest wait for a list of events. Then the connection is dropped.
const LIST_TIMEOUT: Duration = Duration::from_secs(10);

/// Returns events as the parameter of the function `add_events`.
pub(super) fn to_parameter(events: &[Event]) -> String {
    let rows = events.iter().map(|event| {
        let link = event.issuer.as_deref().zip(event.subject.as_deref());
        json!({
            "kind": event.kind.number(),
            "code": event.code,
            "username": event.user,
            "user_id": event.user_id,
            "issuer": event.issuer,
            "subject_tag": link.map(|(_, subject)| hexadecimal(&tag(subject))),
            "provider": event.provider,
            "subject": event.subject,
            "client": event.client,
            "application": event.application,
            "rule": event.rule,
            "admin": event.admin,
            "detail": event.detail,
            "count": event.count,
        })
    });
    serde_json::Value::Array(rows.collect()).to_string()
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl PgStore {
    /// Records events in one transaction.
    ///
    /// # Errors
    /// [`PostgresError`].
    pub async fn record_events(&self, events: &[Event]) -> Result<(), PostgresError> {
        self.write("SELECT add_events($1)", &[&to_parameter(events)]).await.map(drop)
    }

    /// Deletes events beyond the limits, in steps; the clock is the database's.
    ///
    /// # Errors
    /// [`PostgresError`].
    pub async fn purge_events(&self, limits: EventLimits) -> Result<(), PostgresError> {
        let most = i32::try_from(PURGED_EVENTS).unwrap_or(i32::MAX);
        let retention = i64::try_from(limits.retention.as_micros()).unwrap_or(i64::MAX);
        let sql = "SELECT purge_events($1, $2, $3)";
        while self.keep_up(sql, &[&most, &retention, &i64::from(limits.max)]).await? {}
        Ok(())
    }
}

impl Administration {
    /// Lists events.
    ///
    /// # Errors
    /// [`PostgresError`].
    pub async fn list_events(&self, query: &EventQuery) -> Result<Vec<ListedEvent>, PostgresError> {
        let sql = match query.order {
            PageOrder::NewestFirst => LIST_NEWEST,
            PageOrder::OldestFirst => LIST_OLDEST,
        };
        let [written, normal] = query.names().map_or([None, None], |names| names.map(Some));
        let (from, before) = (query.from.unwrap_or(0), query.before.unwrap_or(i64::MAX));
        let limit = i64::from(query.limit.min(MAX_PAGE));
        let (kinds, provider) = (query.numbers(), query.provider());
        let connection = self.connect().await?;
        let parameters: [&(dyn ToSql + Sync); 7] =
            [&kinds, &from, &before, &provider, &written, &normal, &limit];
        let rows = within(LIST_TIMEOUT, connection.read(sql, &parameters)).await?;
        let mut bad = BadRows::default();
        let listed = rows.iter().filter_map(|row| bad.read(listed(row))).collect();
        bad.report("events");
        Ok(listed)
    }

    /// Counts the events of each kind by minutes, those of the last `minutes`; the clock is the database's.
    ///
    /// # Errors
    /// [`PostgresError`].
    pub async fn count_events(&self, minutes: u32) -> Result<Vec<EventCount>, PostgresError> {
        let sql = "SELECT e.id / 60000000, e.kind, sum(e.count)::bigint FROM generate_series(1, 5) AS k
            JOIN events e ON e.kind = k
                AND e.id >= (floor(extract(epoch FROM now()))::bigint / 60 - $1 + 1) * 60000000
                AND e.count BETWEEN 0 AND 4294967295
            GROUP BY 1, 2 ORDER BY 1, 2";
        let connection = self.connect().await?;
        let minutes = i64::from(minutes.clamp(1, MAX_MINUTES));
        let rows = within(LIST_TIMEOUT, connection.read(sql, &[&minutes])).await?;
        rows.iter()
            .map(|row| {
                let count = u64::try_from(row.try_get::<_, i64>(2)?).unwrap_or_default();
                Ok(EventCount { minute: row.try_get::<_, i64>(0)? * 60, kind: kind(row, 1)?, count })
            })
            .collect()
    }
}

/// The statement of a list, in an order.
macro_rules! list {
    ($order:literal) => {
        concat!(
            "SELECT e.id, e.kind, e.code, e.username, e.provider, e.subject, e.client, e.application, e.rule,
                e.admin, e.detail, e.count
            FROM unnest($1::smallint[]) AS k, LATERAL (
                SELECT * FROM events WHERE kind = k AND id >= $2 AND id < $3
                AND ($4::text IS NULL OR provider = $4)
                AND ($5::text IS NULL OR username IN ($5, $6) OR admin IN ($5, $6) OR user_id =
                    (SELECT id FROM users WHERE username IN ($5, $6) ORDER BY username = $5 DESC LIMIT 1))
                ORDER BY id ",
            $order,
            " LIMIT $7
            ) AS e ORDER BY e.id ",
            $order,
            " LIMIT $7"
        )
    };
}

const LIST_NEWEST: &str = list!("DESC");
const LIST_OLDEST: &str = list!("ASC");

fn kind(row: &Row, column: usize) -> Result<EventKind, PostgresError> {
    let number: i16 = row.try_get(column)?;
    EventKind::from_number(number)
        .ok_or_else(|| PostgresError::Unreadable(format!("no kind of events is {number}")))
}

fn listed(row: &Row) -> Result<ListedEvent, PostgresError> {
    Ok(ListedEvent {
        id: row.try_get(0)?,
        kind: kind(row, 1)?,
        code: row.try_get(2)?,
        user: row.try_get(3)?,
        provider: row.try_get(4)?,
        subject: row.try_get(5)?,
        client: row.try_get(6)?,
        application: row.try_get(7)?,
        rule: row.try_get(8)?,
        admin: row.try_get(9)?,
        detail: row.try_get(10)?,
        count: u32::try_from(row.try_get::<_, i64>(11)?).unwrap_or(u32::MAX),
    })
}
