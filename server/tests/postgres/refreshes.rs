//! Sessions whose tokens are refreshed, at several nodes.

use std::collections::HashSet;
use std::time::Duration;

use claimgate_server::store::postgres::{Connection, PgStore, Server, Settings, copy_from_sqlite};
use claimgate_server::store::{SqliteStore, Store};

use super::engine::{connect, with_database};
use super::people::{logout, of_sid};
use super::refresh_contract::{self, PROVIDER, claim, sign_in};

async fn open(server: &Server) -> Store {
    Store::open_postgres(server.clone(), Settings::default()).await.unwrap()
}

async fn kept(connection: &mut Connection) -> i64 {
    connection.client().query_one("SELECT count(*) FROM refreshes", &[]).await.unwrap().get(0)
}

#[test]
fn postgres_keeps_the_contract_of_refreshes() {
    with_database(async |server| refresh_contract::check(&open(&server).await).await);
}

#[test]
fn nodes_share_the_refreshes_and_none_is_claimed_twice() {
    with_database(async |server| {
        let nodes = [open(&server).await, open(&server).await];
        for id in 0..40 {
            sign_in(&nodes[usize::from(id) % 2], id).await;
        }
        let claim = async |node: &Store| {
            let mut claimed = Vec::new();
            loop {
                let more = node.claim_refreshes(PROVIDER, 3).await.unwrap();
                if more.is_empty() {
                    return claimed;
                }
                claimed.extend(more.iter().map(|due| due.session));
                tokio::task::yield_now().await;
            }
        };
        let [a, b] = &nodes;
        let (mut all, of_b) = tokio::join!(claim(a), claim(b));
        all.extend(of_b);
        assert_eq!((all.len(), all.iter().collect::<HashSet<_>>().len()), (40, 40));
    });
}

#[test]
fn a_refresh_of_a_node_that_stopped_is_due_again() {
    with_database(async |server| {
        let [a, b] = [open(&server).await, open(&server).await];
        sign_in(&a, 1).await;
        assert_eq!(claim(&a).await.len(), 1);
        assert!(claim(&b).await.is_empty());
        let mut connection = connect(&server).await.unwrap();
        let pass = "UPDATE refreshes SET due = due - interval '120 s'";
        connection.client().batch_execute(pass).await.unwrap();
        assert_eq!(claim(&b).await.len(), 1);
    });
}

#[test]
fn a_grant_goes_with_its_session_whatever_ends_it() {
    with_database(async |server| {
        let store = open(&server).await;
        let node = PgStore::open(server.clone(), Settings::default()).await.unwrap();
        let mut connection = connect(&server).await.unwrap();
        for id in 1..=3 {
            sign_in(&store, id).await;
        }
        assert_eq!(kept(&mut connection).await, 3);
        let of_issuer = "UPDATE issuers SET name = 'i'";
        connection.client().batch_execute(of_issuer).await.unwrap();
        let ended = node.apply_logouts(&[logout("1", of_sid("sid1"))]).await.unwrap();
        assert_eq!(ended[0].as_ref().unwrap().sessions, 1);
        assert_eq!(kept(&mut connection).await, 2, "a logout");
        let expire = "UPDATE sessions SET expires = now() WHERE sid = 'sid2'";
        connection.client().batch_execute(expire).await.unwrap();
        assert_eq!(claim(&store).await.len(), 1, "not the one that is over");
        node.purge().await.unwrap();
        assert_eq!(kept(&mut connection).await, 1, "a purge");
        connection.client().batch_execute("SELECT end_session(id) FROM sessions").await.unwrap();
        assert_eq!(kept(&mut connection).await, 0, "a sign-out at a node of an earlier version");
    });
}

#[test]
fn a_grant_names_the_issuer_as_it_is_called_now() {
    with_database(async |server| {
        let store = open(&server).await;
        sign_in(&store, 1).await;
        let mut connection = connect(&server).await.unwrap();
        connection.client().batch_execute("UPDATE issuers SET name = 'https://new'").await.unwrap();
        let due = claim(&store).await;
        assert_eq!(due[0].grant.as_ref().unwrap().original().issuer(), "https://new");
        store.put_off_refresh(&due[0], Duration::from_millis(300)).await.unwrap();
        assert!(claim(&store).await.is_empty());
        tokio::time::sleep(Duration::from_millis(400)).await;
        assert_eq!(claim(&store).await.len(), 1);
    });
}

#[test]
fn a_copy_of_a_sqlite_store_has_its_grants() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("claimgate.db");
    with_database(async |server| {
        let sqlite = SqliteStore::open_for_server(&file).unwrap();
        sign_in(&Store::Sqlite(sqlite.clone()), 1).await;
        sqlite.close();
        copy_from_sqlite(&server, &file).await.unwrap();
        let due = claim(&open(&server).await).await;
        assert_eq!(due[0].grant.as_ref().unwrap().refresh_token().expose(), "the first token");
    });
}
