//! Administration of a store over PostgreSQL: rare changes and lists, each in one transaction of many statements. A
//! node and a command do the same; the other nodes follow by the feed.

use std::sync::Arc;

use tokio::runtime::Handle;
use tokio::sync::Mutex;
use tokio_postgres::IsolationLevel;

use super::connection::{Connection, Server};
use super::error::PostgresError;
use super::keys::Keys;
use super::records::{PostgresRecords, confirm, wait};
use super::schema::{exists, migrate};
use crate::store::AdminRecords;
use crate::store::key::Key;
use claimgate::oidc::records::StoreError;

/// The administration of one database.
pub struct Administration {
    server: Server,
    keys: Arc<Keys>,
    /// One transaction at a time, so that administrators take one connection of a node.
    turn: Mutex<()>,
}

impl Administration {
    /// Opens a database; makes the schema and the key of the store if needed.
    ///
    /// # Errors
    /// A [`PostgresError`].
    pub async fn open(server: Server) -> Result<Self, PostgresError> {
        let connection = server.connect().await?;
        Self::open_on(connection, server).await
    }

    /// Opens a database that has a schema, which is brought to the present version.
    ///
    /// # Errors
    /// [`PostgresError::NoSchema`], and nothing is made; or another [`PostgresError`].
    pub async fn open_existing(server: Server) -> Result<Self, PostgresError> {
        let mut connection = server.connect().await?;
        if !exists(&mut connection).await? {
            return Err(PostgresError::NoSchema);
        }
        Self::open_on(connection, server).await
    }

    async fn open_on(mut connection: Connection, server: Server) -> Result<Self, PostgresError> {
        migrate(&mut connection).await?;
        let keys = Keys::load(&connection).await?;
        Ok(Self { server, keys: Arc::new(keys), turn: Mutex::new(()) })
    }

    /// Has all further connections of the servers of this value and of its node use the password and the authorities of
    /// another description of the server. Connects once if they may be others than before.
    ///
    /// # Errors
    /// A [`PostgresError`] of that connection. What is described stays in use.
    pub async fn use_access_of(&self, described: &Server) -> Result<(), PostgresError> {
        if self.server.use_access_of(described) { self.server.connect().await.map(drop) } else { Ok(()) }
    }

    /// Takes the notices of the changes that commands have made, in their order: each is returned to one node, for
    /// its log.
    ///
    /// # Errors
    /// A [`PostgresError`].
    pub async fn take_notices(&self) -> Result<Vec<Notice>, PostgresError> {
        let mut connection = self.server.connect().await?;
        let sql = "WITH taken AS (DELETE FROM notices RETURNING id, action, about)
            SELECT action, about FROM taken ORDER BY id";
        let rows = connection.client().query(sql, &[]).await?;
        Ok(rows.iter().map(|row| Notice { action: row.get(0), about: row.get(1) }).collect())
    }

    /// Connects, for what is read beside the transactions.
    pub(super) async fn connect(&self) -> Result<Connection, PostgresError> {
        self.server.connect().await
    }

    /// Runs work in one transaction, on a connection of its own. Returns its result once the changes are durable.
    /// After an error, of the work or of the store, nothing has changed; whether a connection was lost before or
    /// after the commit is not known.
    ///
    /// # Errors
    /// The error of the work, or a [`StoreError`].
    pub async fn administer<T, E, W>(&self, work: W) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
        W: FnOnce(&mut dyn AdminRecords) -> Result<T, E> + Send + 'static,
    {
        self.on_a_connection(|connection, runtime, key| change(connection, runtime, key, work)).await
    }

    /// Runs work that only reads, in one transaction on a connection of its own: it sees one state of the database,
    /// takes no position and waits for no transaction that writes. What it writes is an error.
    ///
    /// # Errors
    /// The error of the work, or a [`StoreError`].
    pub async fn look<T, E, W>(&self, work: W) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
        W: FnOnce(&mut dyn AdminRecords) -> Result<T, E> + Send + 'static,
    {
        self.on_a_connection(|connection, runtime, key| look(connection, runtime, key, work)).await
    }

    async fn on_a_connection<T, E>(
        &self,
        run: impl FnOnce(&mut Connection, &Handle, &Key) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let _turn = self.turn.lock().await;
        let mut connection = self.server.connect().await.map_err(StoreError::from)?;
        let (runtime, keys) = (Handle::current(), Arc::clone(&self.keys));
        // The work waits for one statement after the other, which a thread of the runtime must not.
        let done = tokio::task::spawn_blocking(move || run(&mut connection, &runtime, &keys.sealing)).await;
        done.unwrap_or_else(|error| Err(StoreError { reason: error.to_string() }.into()))
    }
}

/// A change that a command has made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// Which command.
    pub action: String,
    /// The user, session or issuer.
    pub about: String,
}

fn change<T, E: From<StoreError>>(
    connection: &mut Connection,
    runtime: &Handle,
    key: &Key,
    work: impl FnOnce(&mut dyn AdminRecords) -> Result<T, E>,
) -> Result<T, E> {
    let begun = wait(runtime, connection.client().transaction()).map_err(StoreError::from)?;
    let mut records = PostgresRecords::begin(begun, runtime, key)?;
    // An error drops the transaction, which rolls it back.
    let result = work(&mut records)?;
    records.commit()?;
    confirm(runtime, connection).map_err(StoreError::from)?;
    Ok(result)
}

fn look<T, E: From<StoreError>>(
    connection: &mut Connection,
    runtime: &Handle,
    key: &Key,
    work: impl FnOnce(&mut dyn AdminRecords) -> Result<T, E>,
) -> Result<T, E> {
    let begin = connection
        .client()
        .build_transaction()
        .read_only(true)
        .isolation_level(IsolationLevel::RepeatableRead);
    let begun = wait(runtime, begin.start()).map_err(StoreError::from)?;
    let mut records = PostgresRecords::reading(begun, runtime, key);
    let result = work(&mut records)?;
    records.end()?;
    Ok(result)
}
