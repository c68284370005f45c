//! What an operator reads where PostgreSQL cannot be used, and that nothing is half done then.

use std::time::{Duration, Instant};

use claimgate_server::store::postgres::{Administration, PostgresError, Server, migrate};

use super::engine::{Engine, runtime};

/// Returns the error of opening a database.
async fn error_of(server: Server) -> PostgresError {
    Administration::open(server).await.err().expect("an error")
}

#[test]
fn a_user_a_password_or_a_database_that_is_refused_says_what_to_change() {
    let Some(engine) = Engine::shared() else { return };
    runtime().block_on(async {
        let server = |user: &str, database: &str| Server::new(engine.config(user, database), None);
        let error = error_of(server("super", "missing")).await;
        assert!(matches!(error, PostgresError::NoDatabase(_)), "{error}");
        let error = error_of(server("stranger", "postgres")).await;
        assert!(matches!(error, PostgresError::Denied(_)), "{error}");

        let super_user = server("super", "postgres");
        let mut connection = super_user.connect().await.unwrap();
        engine.require_password("locked");
        connection
            .client()
            .batch_execute("CREATE USER locked PASSWORD 'the right one'; SELECT pg_reload_conf()")
            .await
            .unwrap();
        let mut config = engine.config("locked", "postgres");
        config.password("the wrong one");
        let deadline = Instant::now() + Duration::from_secs(20);
        let error = loop {
            // The server takes the new rule when it has read its configuration.
            match Server::new(config.clone(), None).connect().await {
                Err(error) => break error,
                Ok(_) => assert!(Instant::now() < deadline, "the wrong password is accepted"),
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        assert!(matches!(error, PostgresError::Denied(_)), "{error}");
        let text = error.to_string();
        assert!(text.contains("password_file") && !text.contains("the wrong one"), "{text}");
        config.password("the right one");
        assert!(Server::new(config, None).connect().await.is_ok());
    });
}

#[test]
fn a_user_who_may_not_make_the_schema_is_told_which_right_is_missing_and_nothing_is_made() {
    let Some(engine) = Engine::shared() else { return };
    runtime().block_on(async {
        let super_user = Server::new(engine.config("super", "postgres"), None);
        let mut connection = super_user.connect().await.unwrap();
        connection.client().batch_execute("CREATE USER guest").await.unwrap();
        let mut guest = Server::new(engine.config("guest", "postgres"), None).connect().await.unwrap();
        let error = migrate(&mut guest).await.unwrap_err();
        assert!(matches!(error, PostgresError::Right(_)), "{error}");
        assert!(error.to_string().contains("GRANT CREATE ON DATABASE"), "{error}");
        let sql = "SELECT count(*) FROM pg_namespace WHERE nspname = 'claimgate'";
        assert_eq!(connection.client().query_one(sql, &[]).await.unwrap().get::<_, i64>(0), 0);
    });
}

#[test]
fn a_standby_or_a_read_only_database_is_not_taken_for_the_primary() {
    let Some(engine) = Engine::shared() else { return };
    runtime().block_on(async {
        let server = engine.server(&engine.new_database().await);
        let mut connection = server.connect().await.unwrap();
        let read_only = "DO $$ BEGIN
            EXECUTE format('ALTER DATABASE %I SET default_transaction_read_only = on', current_database());
        END $$";
        connection.client().batch_execute(read_only).await.unwrap();
        assert_eq!(error_of(server).await, PostgresError::ReadOnly);
    });
}

#[test]
fn a_server_that_does_not_run_is_named_without_the_password() {
    runtime().block_on(async {
        let mut config = tokio_postgres::Config::new();
        config.host("127.0.0.1").port(1).user("ada").dbname("d").password("secret");
        let error = error_of(Server::new(config, None)).await;
        let text = error.to_string();
        assert!(matches!(error, PostgresError::Connect { .. }), "{error}");
        assert!(text.contains("127.0.0.1 (port 1)") && !text.contains("secret"), "{text}");
    });
}
