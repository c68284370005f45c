//! Events in SQLite: one table, clustered by kind, which is appended to at the end of each kind and purged from its
//! old end.

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::{
    Event, EventCount, EventKind, EventLimits, EventQuery, EventRow, ListedEvent, MAX_PAGE, PURGED_EVENTS,
    PageOrder, erased_name,
};
use crate::store::bad_rows::BadRows;
use claimgate::oidc::user::UserId;

/// The table. `n` counts the events of a kind: the difference between the first and the last is their number.
pub(in crate::store) const TABLE: &str = "
    CREATE TABLE event (
        kind INTEGER NOT NULL,
        id INTEGER NOT NULL,
        n INTEGER NOT NULL,
        code TEXT NOT NULL,
        user_id INTEGER,
        username TEXT,
        provider TEXT,
        subject TEXT,
        client TEXT,
        application TEXT,
        rule TEXT,
        admin_id INTEGER,
        admin TEXT,
        detail TEXT,
        count INTEGER NOT NULL,
        PRIMARY KEY (kind, id)
    ) WITHOUT ROWID;
";

/// The columns of a row, in the order of [`read_row`].
pub(in crate::store) const COLUMNS: &str = "kind, id, n, code, user_id, username, provider, subject, client, application, rule, admin_id, admin, detail, count";

/// The last number that an event can have: one that another can follow.
const LAST: i64 = 1 << 62;

/// Selects the rows whose numbers can be read: the next event is numbered by them.
const NUMBERED: &str = "typeof(id) = 'integer' AND typeof(n) = 'integer'
    AND id BETWEEN 0 AND 4611686018427387904 AND n BETWEEN 0 AND 4611686018427387904";

/// Records events within a transaction, at a time in microseconds since 1970.
pub(in crate::store) fn append(connection: &Connection, events: &[Event], now: i64) -> rusqlite::Result<()> {
    let newest_of =
        format!("SELECT id, n FROM event WHERE kind = ?1 AND {NUMBERED} ORDER BY id DESC LIMIT 1");
    let (mut newest, mut numbers) = (0_i64, [0_i64; EventKind::ALL.len()]);
    for (kind, number) in EventKind::ALL.into_iter().zip(&mut numbers) {
        let last = connection
            .prepare_cached(&newest_of)?
            .query_row([kind.number()], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?)));
        if let Some((id, n)) = last.optional()? {
            newest = newest.max(id);
            *number = n;
        }
    }
    let sql = "INSERT INTO event
            (kind, id, n, code, user_id, username, provider, subject, client, application, rule, admin_id, admin, detail, count)
        SELECT ?1, ?2, ?3, ?4, found.id, coalesce(?5, (SELECT username FROM user WHERE user.id = found.id)),
            ?6, ?7, ?8, ?9, ?10, (SELECT id FROM user WHERE username = ?11), ?11, ?12, ?13
        FROM (SELECT coalesce(?15, (SELECT id FROM user WHERE username = ?5),
            (SELECT user FROM link WHERE issuer = ?14 AND subject = ?7 AND ?5 IS NULL)) AS id) AS found";
    let mut insert = connection.prepare_cached(sql)?;
    for event in events {
        newest = now.max(newest + 1);
        let number = &mut numbers[usize::from(event.kind.number().unsigned_abs()) - 1];
        *number += 1;
        insert.execute(params![
            event.kind.number(),
            newest,
            *number,
            event.code,
            event.user,
            event.provider,
            event.subject,
            event.client.map(|address| address.to_string()),
            event.application,
            event.rule,
            event.admin,
            event.detail,
            event.count,
            event.issuer,
            event.user_id,
        ])?;
    }
    Ok(())
}

/// Lists events.
pub(in crate::store) fn list(
    connection: &Connection,
    query: &EventQuery,
) -> rusqlite::Result<Vec<ListedEvent>> {
    let order = match query.order {
        PageOrder::NewestFirst => "DESC",
        PageOrder::OldestFirst => "ASC",
    };
    let sql = format!(
        "SELECT {COLUMNS} FROM event
        WHERE kind = ?1 AND id >= ?2 AND id < ?3 AND (?4 IS NULL OR provider = ?4)
        AND (?5 IS NULL OR username IN (?5, ?6) OR admin IN (?5, ?6)
            OR user_id = (SELECT id FROM user WHERE username IN (?5, ?6) ORDER BY username = ?5 DESC LIMIT 1))
        ORDER BY id {order} LIMIT ?7"
    );
    let limit = query.limit.min(MAX_PAGE);
    let [written, normal] = query.names().map_or([None, None], |names| names.map(Some));
    let (from, before) = (query.from.unwrap_or(0), query.before.unwrap_or(i64::MAX));
    let mut statement = connection.prepare_cached(&sql)?;
    let (mut found, mut bad) = (Vec::new(), BadRows::default());
    for kind in query.numbers() {
        let parameters = params![kind, from, before, query.provider(), written, normal, limit];
        let mut rows = statement.query(parameters)?;
        while let Some(row) = rows.next()? {
            found.extend(bad.read(read_row(row).and_then(listed)));
        }
    }
    bad.report("event");
    found.sort_unstable_by_key(|event: &ListedEvent| event.id);
    if query.order == PageOrder::NewestFirst {
        found.reverse();
    }
    found.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    Ok(found)
}

/// Reads a row from [`COLUMNS`].
pub(in crate::store) fn read_row(row: &Row<'_>) -> rusqlite::Result<EventRow> {
    Ok(EventRow {
        kind: row.get(0)?,
        id: row.get(1)?,
        n: row.get(2)?,
        code: row.get(3)?,
        user_id: row.get(4)?,
        username: row.get(5)?,
        provider: row.get(6)?,
        subject: row.get(7)?,
        client: row.get(8)?,
        application: row.get(9)?,
        rule: row.get(10)?,
        admin_id: row.get(11)?,
        admin: row.get(12)?,
        detail: row.get(13)?,
        count: row.get(14)?,
    })
}

/// Reads what a row says.
pub(in crate::store) fn listed(row: EventRow) -> rusqlite::Result<ListedEvent> {
    let kind = EventKind::from_number(row.kind)
        .ok_or(rusqlite::Error::IntegralValueOutOfRange(0, row.kind.into()))?;
    for (column, number) in [(1, row.id), (2, row.n)] {
        if !(0..=LAST).contains(&number) {
            return Err(rusqlite::Error::IntegralValueOutOfRange(column, number));
        }
    }
    let count = row.count;
    Ok(ListedEvent {
        id: row.id,
        kind,
        code: row.code,
        user: row.username,
        provider: row.provider,
        subject: row.subject,
        client: row.client,
        application: row.application,
        rule: row.rule,
        admin: row.admin,
        detail: row.detail,
        count: u32::try_from(count).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(14, count))?,
    })
}

/// Counts the events of each kind by minutes, those with at least this number, in their order. A row that cannot be read
/// is skipped; [`list`] reports it.
pub(in crate::store) fn counts(connection: &Connection, from: i64) -> rusqlite::Result<Vec<EventCount>> {
    let sql = format!(
        "SELECT id / 60000000, sum(count) FROM event
        WHERE kind = ?1 AND id >= ?2 AND {NUMBERED} AND typeof(count) = 'integer' AND count BETWEEN 0 AND 4294967295
        GROUP BY 1"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let mut counts = Vec::new();
    for kind in EventKind::ALL {
        let mut rows = statement.query(params![kind.number(), from])?;
        while let Some(row) = rows.next()? {
            let count = u64::try_from(row.get::<_, i64>(1)?).unwrap_or_default();
            counts.push(EventCount { minute: row.get::<_, i64>(0)? * 60, kind, count });
        }
    }
    counts.sort_unstable_by_key(|count| (count.minute, count.kind));
    Ok(counts)
}

/// Deletes some events of each kind that are older than the retention or more than are kept, within a transaction.
/// Reports whether there may be more.
pub(in crate::store) fn purge_step(
    connection: &Connection,
    limits: EventLimits,
    now: i64,
) -> rusqlite::Result<bool> {
    let retention = i64::try_from(limits.retention.as_micros()).unwrap_or(i64::MAX);
    let oldest = now.saturating_sub(retention);
    let sql = format!(
        "DELETE FROM event WHERE kind = ?1 AND id IN (
            SELECT id FROM (SELECT id, n FROM event WHERE kind = ?1 ORDER BY id LIMIT ?4)
            WHERE id < ?2 OR n <= (SELECT n FROM event WHERE kind = ?1 AND {NUMBERED} ORDER BY id DESC LIMIT 1) - ?3
        )"
    );
    let mut delete = connection.prepare_cached(&sql)?;
    let mut may_have_more = false;
    for kind in EventKind::ALL {
        let deleted = delete.execute(params![kind.number(), oldest, limits.max, PURGED_EVENTS])?;
        may_have_more |= deleted >= usize::try_from(PURGED_EVENTS).unwrap_or(usize::MAX);
    }
    Ok(may_have_more)
}

/// Takes what names a person out of the events: as the user, or as the administrator of a change.
pub(in crate::store) fn erase(connection: &Connection, id: UserId, username: &str) -> rusqlite::Result<()> {
    let sql = "UPDATE event SET username = ?3, subject = NULL, client = NULL, detail = NULL
        WHERE user_id = ?1 OR username = ?2";
    connection.execute(sql, params![id.0, username, erased_name(id)])?;
    let sql = "UPDATE event SET admin = ?3, client = NULL WHERE admin_id = ?1 OR admin = ?2";
    connection.execute(sql, params![id.0, username, erased_name(id)])?;
    Ok(())
}

/// Adds to the database `main` of a restoration the events of `present` that are newer. Their users may be others in
/// `main`, so that they are not looked up by number.
pub(in crate::store) fn add_those_of_present(connection: &Connection) -> rusqlite::Result<usize> {
    let sql = format!(
        "INSERT INTO main.event ({COLUMNS})
        SELECT kind, id, (SELECT ifnull(max(n), 0) FROM main.event AS kept WHERE kept.kind = newer.kind)
                + row_number() OVER (PARTITION BY kind ORDER BY id),
            code, NULL, username, provider, subject, client, application, rule, NULL, admin, detail, count
        FROM present.event AS newer WHERE id > (SELECT ifnull(max(id), 0) FROM main.event)"
    );
    connection.execute(&sql, [])
}
