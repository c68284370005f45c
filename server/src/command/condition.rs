//! The condition of a PostgreSQL database in words: what is well, what to know, and what to do.

use std::time::Duration;

use super::report::Report;
use crate::plural::count;
use crate::store::postgres::{Condition, Holder, Table};

/// The share of connections, in hundredths, from which a server that connects anew may be refused.
const FULL: i64 = 90;
/// Dead rows of a table from which autovacuum is said not to follow, if they are as many as the others.
const DEAD_ROWS: i64 = 100_000;
/// Time after which what is over should have been deleted: a server deletes once a minute.
const OVERDUE: Duration = Duration::from_secs(300);
/// Seconds between the clocks of this machine and of the server that are worth a word.
const CLOCKS: f64 = 2.0;
/// Tables that are named.
const TABLES: usize = 4;

/// Reports the condition of a database. `standbys` is `synchronous_standby_names`; `known` the version of the schema
/// that this program knows.
pub(super) fn describe(found: &Condition, standbys: &str, known: i32, report: &mut Report) {
    for setting in &found.switched_off {
        let loses = match setting.as_str() {
            "fsync" | "full_page_writes" => "a crash of its machine loses or damages what was acknowledged",
            _ => "what is deleted stays on the disk, and reads slow down",
        };
        report.problem(&format!("the server runs with {setting} = off: {loses}; set it to on"));
    }
    describe_standbys(found, standbys, report);
    describe_nodes(found, known, report);
    describe_transactions(found, report);
    let (used, most) = found.connections;
    let connections = format!("{used} of {most} connections are in use");
    if used * 100 >= most * FULL {
        report.problem(&format!(
            "{connections}: servers that connect anew are refused; end other clients, or raise max_connections"
        ));
    } else {
        report.good(&connections);
    }
    describe_tables(found, report);
    if found.clock_ahead.abs() >= CLOCKS {
        let (by, side) =
            (found.clock_ahead.abs(), if found.clock_ahead > 0.0 { "ahead of" } else { "behind" });
        report.note(&format!(
            "the clock of this machine is {by:.0} s {side} the server's: sessions expire by the server's, tokens are \
             judged by this one"
        ));
    }
    for fault in &found.bad_rows {
        report.problem(fault);
    }
    if found.bad_rows.is_empty() {
        report.good("the rows of all tables can be read, and the usernames keep the rules");
    }
}

fn describe_standbys(found: &Condition, standbys: &str, report: &mut Report) {
    let followers = match found.synchronous_standbys {
        Some(synchronous) => {
            format!("{}, {synchronous} synchronous", count(found.standbys, "standby connection"))
        }
        None => count(found.standbys, "standby connection"),
    };
    let synchronous = found.synchronous_standbys.unwrap_or(found.standbys);
    if synchronous == 0 && !standbys.is_empty() {
        report.problem(&format!(
            "{followers}: every commit waits for a standby named {standbys}, and servers answer 503 until one follows; \
             start it, or name another in synchronous_standby_names"
        ));
    } else {
        report.good(&followers);
    }
}

fn describe_nodes(found: &Condition, known: i32, report: &mut Report) {
    let age = found.beat_age.map_or_else(|| "never".to_owned(), |age| format!("{} ago", in_words(age)));
    match found.nodes {
        0 => report.note(&format!("no server follows the database; the newest beat: {age}")),
        1 => report.good(&format!("1 server follows it; the newest beat: {age}")),
        nodes => report.good(&format!("{nodes} servers follow it; the newest beat: {age}")),
    }
    if found.silent_nodes > 0 {
        report.note(&format!(
            "{} seen lately, and silent now: stopped, or cut off from the database, and then answering 503",
            count(found.silent_nodes, "more server")
        ));
    }
    if let Some(oldest) = found.oldest_program.filter(|oldest| *oldest < known) {
        report.note(&format!(
            "a server runs an older program, which knows version {oldest} of the schema at most"
        ));
    }
}

fn describe_transactions(found: &Condition, report: &mut Report) {
    for holder in &found.holders {
        let waiting = count(holder.waiting, "transaction");
        report.problem(&format!(
            "{}: {waiting} of the servers or commands cannot go on; {}",
            named(holder),
            end(holder)
        ));
    }
    if found.holders.is_empty() {
        report.good("no transaction waits for another");
    }
    for old in &found.old_transactions {
        report.note(&format!(
            "{}: nothing that is deleted leaves the disk meanwhile; {}",
            named(old),
            end(old)
        ));
    }
}

/// Names a transaction and says for how long it has been open.
fn named(holder: &Holder) -> String {
    let process = holder.process.map_or_else(String::new, |process| format!("process {process}, "));
    let age =
        holder.age.map_or_else(|| "for an unknown time".to_owned(), |age| format!("for {}", in_words(age)));
    format!("a transaction of {process}{} has been open {age}", holder.name)
}

/// Says how a transaction is ended.
fn end(holder: &Holder) -> String {
    match holder.process {
        Some(process) => format!("end it with SELECT pg_terminate_backend({process})"),
        None => "end it with COMMIT PREPARED or ROLLBACK PREPARED".to_owned(),
    }
}

fn describe_tables(found: &Condition, report: &mut Report) {
    let all: i64 = found.tables.iter().map(|table| table.bytes).sum();
    let size =
        |table: &Table| format!("{} {} (about {} rows)", table.name, in_bytes(table.bytes), table.rows);
    let largest: Vec<String> = found.tables.iter().take(TABLES).map(size).collect();
    report.good(&format!("{} in all: {}", in_bytes(all), largest.join(", ")));
    for table in found.tables.iter().filter(|table| table.dead >= DEAD_ROWS.max(table.rows)) {
        report.note(&format!(
            "about {} rows of {} are dead and its other {} are not: autovacuum does not follow; is a transaction open \
             for long, or autovacuum_max_workers too small?",
            table.dead, table.name, table.rows
        ));
    }
    let overdue = found.overdue.iter().filter(|(_, age)| *age > OVERDUE && found.nodes > 0);
    for (table, age) in overdue {
        report.problem(&format!(
            "{table} that were over {} ago are still there: no server deletes; see `what is over could not be deleted` in \
             the servers' logs",
            in_words(*age)
        ));
    }
}

fn in_words(age: Duration) -> String {
    match age.as_secs() {
        0..10 => format!("{:.1} s", age.as_secs_f64()),
        seconds @ 10..120 => format!("{seconds} s"),
        seconds @ 120..7200 => format!("{} min", seconds / 60),
        seconds => format!("{} h", seconds / 3600),
    }
}

fn in_bytes(bytes: i64) -> String {
    match bytes {
        0..10_000_000 => format!("{} kB", bytes / 1000),
        10_000_000..10_000_000_000 => format!("{} MB", bytes / 1_000_000),
        _ => format!("{} GB", bytes / 1_000_000_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Describes a condition. Returns the text of the report.
    fn text(found: &Condition, standbys: &str) -> String {
        let mut report = Report::default();
        describe(found, standbys, 2, &mut report);
        report.text
    }

    #[test]
    fn what_a_test_server_cannot_be_brought_to_is_described() {
        let found = Condition {
            switched_off: vec!["autovacuum".to_owned()],
            standbys: 1,
            synchronous_standbys: Some(0),
            nodes: 1,
            beat_age: Some(Duration::from_millis(140)),
            oldest_program: Some(1),
            old_transactions: vec![Holder {
                process: None,
                name: "prepared transaction x".to_owned(),
                age: Some(Duration::from_secs(7_500)),
                waiting: 0,
            }],
            connections: (95, 97),
            tables: vec![
                Table { name: "logouts".to_owned(), bytes: 12_000_000_000, rows: 100_000, dead: 900_000 },
                Table { name: "steps".to_owned(), bytes: 20_000_000, rows: 9, dead: 99_999 },
            ],
            overdue: vec![
                ("logouts".to_owned(), Duration::from_secs(301)),
                ("sessions".to_owned(), Duration::from_secs(299)),
            ],
            clock_ahead: -90.4,
            ..Condition::default()
        };
        let text = text(&found, "FIRST 1 (a)");
        for line in [
            "PROBLEM  the server runs with autovacuum = off: what is deleted stays on the disk",
            "PROBLEM  1 standby connection, 0 synchronous: every commit waits for a standby named FIRST 1 (a)",
            "ok       1 server follows it; the newest beat: 0.1 s ago",
            "note     a server runs an older program, which knows version 1",
            "note     a transaction of prepared transaction x has been open for 2 h",
            "ROLLBACK PREPARED",
            "PROBLEM  95 of 97 connections are in use",
            "ok       12 GB in all: logouts 12 GB (about 100000 rows), steps 20 MB (about 9 rows)",
            "note     about 900000 rows of logouts are dead",
            "PROBLEM  logouts that were over 5 min ago are still there",
            "note     the clock of this machine is 90 s behind the server's",
        ] {
            assert!(text.contains(line), "{line}: {text}");
        }
        assert!(
            !text.contains("rows of steps are dead") && !text.contains("sessions that were over"),
            "{text}"
        );
    }
}
