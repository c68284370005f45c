//! The schema: made once, by one node at a time, and refused where it is newer.

use claimgate_server::store::postgres::{MIGRATIONS, PostgresError, migrate};

use super::engine::{connect, with_database};

fn newest() -> i32 {
    i32::try_from(MIGRATIONS.len()).unwrap()
}

#[test]
fn nodes_that_start_together_make_the_schema_once() {
    with_database(async |server| {
        let nodes = (0..4).map(|_| {
            let server = server.clone();
            tokio::spawn(async move { connect(&server).await.map(drop) })
        });
        for node in nodes.collect::<Vec<_>>() {
            assert_eq!(node.await.unwrap(), Ok(()));
        }
        let mut connection = connect(&server).await.unwrap();
        let row = connection
            .client()
            .query_one("SELECT count(*), max(version) FROM schema_version", &[])
            .await
            .unwrap();
        assert_eq!((row.get::<_, i64>(0), row.get::<_, i32>(1)), (1, newest()));
    });
}

#[test]
fn a_newer_schema_is_refused_unless_it_works_for_this_program() {
    with_database(async |server| {
        let mut connection = connect(&server).await.unwrap();
        let newer = "UPDATE schema_version SET version = 70, works_for = 1";
        connection.client().batch_execute(newer).await.unwrap();
        assert_eq!(migrate(&mut connection).await, Ok(()), "the schema of a newer node in a rolling update");
        let row = connection.client().query_one("SELECT version FROM schema_version", &[]).await.unwrap();
        assert_eq!(row.get::<_, i32>(0), 70);
        connection.client().batch_execute("UPDATE schema_version SET works_for = 69").await.unwrap();
        assert_eq!(
            migrate(&mut connection).await,
            Err(PostgresError::NewerSchema { found: 70, known: newest() })
        );
    });
}

#[test]
fn a_commit_is_durable_whatever_the_server_sets() {
    with_database(async |server| {
        let setting = async |wanted: &str| {
            let mut connection = connect(&server).await.unwrap();
            let alter = format!(
                "DO $$ BEGIN EXECUTE format('ALTER USER %I SET synchronous_commit = {wanted}', current_user); END $$"
            );
            connection.client().batch_execute(&alter).await.unwrap();
            let mut connection = connect(&server).await.unwrap();
            let row = connection.client().query_one("SHOW synchronous_commit", &[]).await.unwrap();
            row.get::<_, String>(0)
        };
        assert_eq!(setting("off").await, "on");
        assert_eq!(setting("remote_write").await, "on");
        assert_eq!(setting("remote_apply").await, "remote_apply");
    });
}
