//! A connection to PostgreSQL, and what it needs to be trusted with a commit.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use parking_lot::Mutex;
use subtle::ConstantTimeEq;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::AbortHandle;
use tokio::time::timeout;
use tokio_postgres::config::{Host, LoadBalanceHosts, SslMode, TargetSessionAttrs};
use tokio_postgres::types::ToSql;
use tokio_postgres::{AsyncMessage, Client, NoTls, Row, Statement};

use super::error::{OLDEST_VERSION, PostgresError};
use super::tls::Tls;
use claimgate::oidc::client::Secret;

/// Longest wait for a connection to one host: another host may be tried after it. A host that accepts the connection
/// and then does not answer may take as long again, for each host.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// Longest wait for a lock, above all that of the order row, before a transaction is given up.
const LOCK_TIMEOUT: Duration = Duration::from_secs(2);
/// Longest time that sent data may stay unacknowledged before the connection counts as lost.
const TCP_TIMEOUT: Duration = Duration::from_secs(5);

/// The settings of each connection. `synchronous_commit`: a commit that was answered is on the disk and, where there
/// is a synchronous standby, on that one's; a stronger setting of the server stays. Plans use indexes, because a plan
/// may be made while a table is empty and used when it is not. Nothing is compiled: no statement runs for so long.
const SETTINGS: &str = "
    SET search_path = claimgate;
    SET default_transaction_isolation = 'read committed';
    SET client_min_messages = 'warning';
    SET idle_in_transaction_session_timeout = '5s';
    SET enable_seqscan = off;
    SET jit = off;
    SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') <> 'remote_apply';
";

/// Asks whether the server has a synchronous standby.
const HAS_STANDBY: &str = "SELECT current_setting('synchronous_standby_names') <> ''";

/// A PostgreSQL server, or several of which one is the primary, and how to connect to it.
#[derive(Clone)]
pub struct Server {
    config: tokio_postgres::Config,
    /// The user's password; the same of all clones.
    password: Arc<ArcSwapOption<Secret>>,
    tls: Option<Tls>,
    requires_standby: bool,
}

impl Server {
    /// Describes a server. With `tls` each connection is within TLS; without, none is.
    #[must_use]
    pub fn new(mut config: tokio_postgres::Config, tls: Option<Tls>) -> Self {
        let mode = if tls.is_some() { SslMode::Require } else { SslMode::Disable };
        config.ssl_mode(mode);
        config.target_session_attrs(TargetSessionAttrs::ReadWrite);
        config.connect_timeout(CONNECT_TIMEOUT);
        // In an order of chance: the next attempt need not begin with a host that does not answer.
        config.load_balance_hosts(LoadBalanceHosts::Random);
        config.tcp_user_timeout(TCP_TIMEOUT);
        config.application_name("claimgate");
        Self { config, password: Arc::default(), tls, requires_standby: false }
    }

    /// Has the connections that this value and its clones make from now on prove a password; those that are there
    /// go on. Returns whether it is another than before.
    pub fn use_password(&self, password: Option<&Secret>) -> bool {
        let before = self.password.swap(password.cloned().map(Arc::new));
        match (before, password) {
            (Some(before), Some(after)) => {
                !bool::from(before.expose().as_bytes().ct_eq(after.expose().as_bytes()))
            }
            (before, after) => before.is_some() || after.is_some(),
        }
    }

    /// Has the connections that this value and its clones make from now on prove the password of another description of
    /// the server, and verify certificates by its authorities; those that are there go on. Returns whether that may be
    /// another access than before.
    pub fn use_access_of(&self, described: &Self) -> bool {
        if let (Some(own), Some(described)) = (&self.tls, &described.tls) {
            own.use_configuration_of(described);
        }
        self.use_password(described.password.load_full().as_deref()) || self.tls.is_some()
    }

    /// Has each connection refuse a server without a synchronous standby, and count no commit as done unless
    /// `synchronous_standby_names` names one before and after it. A setting that is emptied and set again within one
    /// commit is not noticed.
    #[must_use]
    pub fn require_standby(self, required: bool) -> Self {
        Self { requires_standby: required, ..self }
    }

    /// Reports whether its connections are within TLS.
    #[must_use]
    pub fn is_encrypted(&self) -> bool {
        self.tls.is_some()
    }

    /// Returns the hosts, for messages.
    fn address(&self) -> String {
        let hosts = self.config.get_hosts().iter().map(|host| match host {
            Host::Tcp(name) => name.clone(),
            #[cfg(unix)]
            Host::Unix(path) => path.display().to_string(),
        });
        let ports: Vec<String> = self.config.get_ports().iter().map(ToString::to_string).collect();
        format!("{} (port {})", hosts.collect::<Vec<_>>().join(", "), ports.join(", "))
    }

    /// Connects.
    ///
    /// # Errors
    /// Those of [`PostgresError`] that say why a server cannot be used: [`PostgresError::Connect`] and others.
    pub async fn connect(&self) -> Result<Connection, PostgresError> {
        let hosts = u32::try_from(self.config.get_hosts().len()).unwrap_or(u32::MAX);
        let most = CONNECT_TIMEOUT.saturating_mul(hosts.saturating_add(1));
        let silent =
            || PostgresError::Connect { address: self.address(), reason: "no answer in time".to_owned() };
        timeout(most, self.connect_and_prepare()).await.unwrap_or_else(|_| Err(silent()))
    }

    async fn connect_and_prepare(&self) -> Result<Connection, PostgresError> {
        let failed = |error| PostgresError::of_connecting(error, self.address());
        let mut config = self.config.clone();
        if let Some(password) = self.password.load_full() {
            config.password(password.expose());
        }
        let mut connection = match &self.tls {
            Some(tls) => {
                let (client, driver) = config.connect(tls.clone()).await.map_err(failed)?;
                Connection::start(client, driver)
            }
            None => {
                let (client, driver) = config.connect(NoTls).await.map_err(failed)?;
                Connection::start(client, driver)
            }
        };
        connection.requires_standby = self.requires_standby;
        connection.prepare_session().await?;
        Ok(connection)
    }
}

/// A connection. It closes when it is dropped, without cancelling what the server does at that time: a cancelled wait
/// for a standby would count as a commit.
pub struct Connection {
    client: Client,
    warning: Arc<Mutex<Option<String>>>,
    driver: AbortHandle,
    requires_standby: bool,
    /// The statements that are prepared, by their text.
    statements: Mutex<HashMap<&'static str, Statement>>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Connection {
    fn start<S, T>(client: Client, mut driver: tokio_postgres::Connection<S, T>) -> Self
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let warning = Arc::<Mutex<Option<String>>>::default();
        let noted = Arc::clone(&warning);
        let drive = async move {
            while let Some(Ok(message)) = std::future::poll_fn(|cx| driver.poll_message(cx)).await {
                // A notice precedes the answer that it belongs to, so it is noted before the answer is read.
                if let AsyncMessage::Notice(notice) = message
                    && notice.code().code().starts_with("01")
                {
                    *noted.lock() = Some(notice.message().to_owned());
                }
            }
        };
        let driver = tokio::spawn(drive).abort_handle();
        Self { client, warning, driver, requires_standby: false, statements: Mutex::default() }
    }

    /// Checks the version of the server and the encoding of the database, and makes the settings of the session.
    async fn prepare_session(&self) -> Result<(), PostgresError> {
        let sql = "SELECT current_setting('server_version_num')::integer / 10000, current_setting('server_encoding')";
        let row = self.client.query_one(sql, &[]).await?;
        let version = u32::try_from(row.get::<_, i32>(0)).unwrap_or(0);
        if version < OLDEST_VERSION {
            return Err(PostgresError::TooOld(version));
        }
        let encoding: &str = row.try_get(1)?;
        if encoding != "UTF8" {
            return Err(PostgresError::Encoding(encoding.to_owned()));
        }
        let lock_timeout = format!("SET lock_timeout = {};", LOCK_TIMEOUT.as_millis());
        self.client.batch_execute(&(lock_timeout + SETTINGS)).await?;
        if self.requires_standby {
            self.client.batch_execute("SET claimgate.require_standby = on").await?;
            self.find_standby().await?;
        }
        Ok(())
    }

    /// Checks that the server has a synchronous standby. It reads its settings anew, if they were changed, before
    /// each statement.
    async fn find_standby(&self) -> Result<(), PostgresError> {
        let statement = self.prepare(HAS_STANDBY).await?;
        let row = self.client.query_one(&statement, &[]).await?;
        if row.try_get(0)? { Ok(()) } else { Err(PostgresError::NoStandby) }
    }

    /// Returns the driver's client, for statements of a transaction. [`committed`](Self::committed) checks its
    /// commit.
    #[must_use]
    pub fn client(&mut self) -> &mut Client {
        &mut self.client
    }

    /// Runs one statement as a transaction of its own. Its rows are returned once it is committed.
    ///
    /// # Errors
    /// [`PostgresError`]; [`PostgresError::NotReplicated`] or [`PostgresError::NoStandby`] if the commit does not
    /// count.
    pub async fn query(
        &self,
        sql: &'static str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, PostgresError> {
        let statement = self.prepare(sql).await?;
        self.warning.lock().take();
        if !self.requires_standby {
            let rows = self.client.query(&statement, parameters).await?;
            self.committed().await?;
            return Ok(rows);
        }
        let standby = self.prepare(HAS_STANDBY).await?;
        // Sent together, in this order: the server answers the second after the commit of the first.
        let (rows, has_standby) = tokio::join!(
            biased;
            self.client.query(&statement, parameters),
            self.client.query_one(&standby, &[])
        );
        let rows = rows?;
        self.find_no_warning()?;
        if has_standby?.try_get(0)? { Ok(rows) } else { Err(PostgresError::NoStandby) }
    }

    /// Runs one statement that changes nothing.
    ///
    /// # Errors
    /// [`PostgresError`].
    pub async fn read(
        &self,
        sql: &'static str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, PostgresError> {
        let statement = self.prepare(sql).await?;
        Ok(self.client.query(&statement, parameters).await?)
    }

    /// Prepares a statement, once in the connection's life.
    pub(super) async fn prepare(&self, sql: &'static str) -> Result<Statement, PostgresError> {
        let prepared = self.statements.lock().get(sql).cloned();
        if let Some(statement) = prepared {
            return Ok(statement);
        }
        let statement = self.client.prepare(sql).await?;
        self.statements.lock().insert(sql, statement.clone());
        Ok(statement)
    }

    /// Checks that a commit counts: the server did not warn, which would say that the standby may not have it, and,
    /// where a standby is required, there still is one. A commit that waits for a standby returns without a warning
    /// when `synchronous_standby_names` is emptied; the server tells each connection of that change first.
    ///
    /// # Errors
    /// [`PostgresError::NotReplicated`] or [`PostgresError::NoStandby`]; [`PostgresError::Lost`] if the connection is
    /// lost meanwhile.
    pub async fn committed(&self) -> Result<(), PostgresError> {
        self.find_no_warning()?;
        if self.requires_standby { self.find_standby().await } else { Ok(()) }
    }

    fn find_no_warning(&self) -> Result<(), PostgresError> {
        match self.warning.lock().take() {
            Some(warning) => Err(PostgresError::NotReplicated(warning)),
            None => Ok(()),
        }
    }

    /// Reports whether the connection is lost.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        self.client.is_closed()
    }
}
