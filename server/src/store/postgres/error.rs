//! Why PostgreSQL cannot be used, or did not do what it was asked to.

use std::error::Error as _;
use std::io;

use rustls::CertificateError;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{WasNull, WrongType};

use crate::store::schema;
use claimgate::oidc::records::StoreError;

/// The oldest major version of PostgreSQL that works.
pub(super) const OLDEST_VERSION: u32 = 15;

/// The state that the functions of the schema raise where a view does not hold any more.
const STALE: &str = "CG001";
/// The state that they raise where the server has no synchronous standby, and one is required.
const NO_STANDBY: &str = "CG002";

/// An error of the store over PostgreSQL.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PostgresError {
    /// The URL is not usable.
    #[error("the URL of PostgreSQL is not usable: {0}; write it as postgres://user@host/database")]
    Url(String),
    /// The certificates to trust cannot be read.
    #[error("{file}: {reason}")]
    Certificates {
        /// The file.
        file: String,
        /// What is wrong with it.
        reason: String,
    },
    /// No connection.
    #[error(
        "PostgreSQL cannot be reached at {address}: {reason}; check that it runs, and the host and the port in the URL"
    )]
    Connect {
        /// The hosts, without the password.
        address: String,
        /// PostgreSQL's message, or the system's.
        reason: String,
    },
    /// The server demands a password, and there is none.
    #[error("PostgreSQL at {0} demands a password: write it to a file that `password_file` of [store] names")]
    NoPassword(String),
    /// The server does not offer TLS.
    #[error(
        "PostgreSQL at {0} does not offer TLS: switch `ssl` on in its configuration; on this machine, or with \
         `danger_plaintext`, write `sslmode=disable` in the URL"
    )]
    NoTls(String),
    /// The server's certificate does not count.
    #[error("the certificate of PostgreSQL at {address} is refused ({reason}): {remedy}")]
    Certificate {
        /// The hosts, without the password.
        address: String,
        /// What is wrong with it.
        reason: String,
        /// What to do.
        remedy: &'static str,
    },
    /// The server has no connection left.
    #[error(
        "PostgreSQL has no connection left: {0}; raise its `max_connections`, or the limit of the user or the database \
         (`ALTER ROLE name CONNECTION LIMIT -1`): each server takes up to eight"
    )]
    Full(String),
    /// The database cannot hold every name.
    #[error(
        "the database has the encoding {0}, which does not have all names: make it with `createdb --encoding UTF8 \
         --template template0 --owner USER NAME`"
    )]
    Encoding(String),
    /// The user or the password is refused.
    #[error(
        "PostgreSQL refuses the user: {0}; check the user in the URL, `password_file`, and PostgreSQL's pg_hba.conf"
    )]
    Denied(String),
    /// The database does not exist.
    #[error(
        "PostgreSQL has no such database: {0}; make it with `createdb --owner USER NAME`, or correct the URL"
    )]
    NoDatabase(String),
    /// The user lacks a right.
    #[error(
        "the user lacks a right: {0}; let the user own the database, or run `GRANT CREATE ON DATABASE name TO user`"
    )]
    Right(String),
    /// PostgreSQL is older than 15.
    #[error("PostgreSQL {0} is too old: version 15 or later is needed; upgrade it")]
    TooOld(u32),
    /// The server is a standby, or its database is read-only.
    #[error("the server is a standby or read-only: name the primary, or all hosts")]
    ReadOnly,
    /// The database has no schema.
    #[error(
        "the database holds no store yet: `claimgate serve` or `claimgate user add` makes it, or the URL names another \
         database"
    )]
    NoSchema,
    /// The schema is that of a newer program.
    #[error("{}", schema::too_new((*found).into(), (*known).into()))]
    NewerSchema {
        /// The version of the database.
        found: i32,
        /// The newest version that this program knows.
        known: i32,
    },
    /// A node runs whose program does not work with the version of the schema that this one needs.
    #[error(
        "a server runs on the database whose program knows version {oldest} of the schema at most, and version \
         {version}, which this program needs, works with {needed} or later: stop that server, or update it to a \
         program in between first; it counts as stopped after 10 seconds"
    )]
    OlderNode {
        /// The version that this program needs.
        version: i32,
        /// The oldest version that a program may know to work with it.
        needed: i32,
        /// The newest version that the oldest program knows.
        oldest: i32,
    },
    /// A lock was not free in time. Nothing was changed.
    #[error(
        "another transaction holds the database for too long: {0}; `claimgate doctor` names it, and nothing was changed"
    )]
    Locked(String),
    /// A statement failed, and changed nothing.
    #[error("PostgreSQL refused a statement: {0}")]
    Refused(String),
    /// The connection was lost or too slow. Whether the statement took effect is not known.
    #[error("the connection to PostgreSQL was lost: {0}")]
    Lost(String),
    /// The statement took effect, but perhaps not on the synchronous standby: PostgreSQL warned. It does not count as
    /// done.
    #[error("PostgreSQL committed, but perhaps not on its standby: {0}")]
    NotReplicated(String),
    /// The server is not the one whose changes this node follows, or not in the same history: another host answers
    /// after a failover, or the node has not followed it yet.
    #[error("the server is not the one that this node follows")]
    OtherHistory,
    /// A synchronous standby is required, and the server has none. What was committed meanwhile does not count as
    /// done.
    #[error(
        "the server has no synchronous standby (synchronous_standby_names is empty): name one there, or remove \
         `require_synchronous` from [store]; a failover can then lose acknowledged changes"
    )]
    NoStandby,
    /// Too much work waits, or the work waited for too long.
    #[error("too much work is waiting")]
    Busy,
    /// The node has not heard of the others' changes for longer than the revocation bound.
    #[error("the changes of other nodes have not been read for too long")]
    NoLease,
    /// A row does not hold what it should.
    #[error("the database holds a value that cannot be read: {0}")]
    Unreadable(String),
    /// The view that the work was decided by does not hold any more. Nothing was changed.
    #[error("the data changed meanwhile")]
    Stale,
}

/// Why a store was not copied. Nothing is in the target then.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CopyError {
    /// The SQLite store cannot be opened, or a server runs on it.
    #[error(transparent)]
    Source(#[from] StoreError),
    /// A row of the SQLite store cannot be read.
    #[error("a row of {table} cannot be read: {reason}; `claimgate doctor` lists such rows")]
    Unreadable {
        /// The table.
        table: &'static str,
        /// What is wrong with the row.
        reason: String,
    },
    /// PostgreSQL failed.
    #[error(transparent)]
    Target(#[from] PostgresError),
    /// The target holds data.
    #[error("PostgreSQL's database holds data of a store ({0}): name an empty one")]
    NotEmpty(String),
    /// A server follows the target.
    #[error("a server runs on PostgreSQL's database: stop it first")]
    InUse,
    /// The target does not hold what was read.
    #[error("{read} {what} were read and {written} are in the copy")]
    Miscounted {
        /// Which rows.
        what: &'static str,
        /// How many were read.
        read: u64,
        /// How many the target holds.
        written: u64,
    },
}

impl From<PostgresError> for StoreError {
    fn from(error: PostgresError) -> Self {
        StoreError { reason: error.to_string() }
    }
}

impl From<tokio_postgres::Error> for PostgresError {
    fn from(error: tokio_postgres::Error) -> Self {
        match error.code() {
            Some(code) if code.code() == STALE => PostgresError::Stale,
            Some(code) if code.code() == NO_STANDBY => PostgresError::NoStandby,
            // Class 28: authorization.
            Some(code) if code.code().starts_with("28") => PostgresError::Denied(reason(&error)),
            Some(code) if *code == SqlState::TOO_MANY_CONNECTIONS => PostgresError::Full(reason(&error)),
            Some(code) if *code == SqlState::INVALID_CATALOG_NAME => {
                PostgresError::NoDatabase(reason(&error))
            }
            Some(code) if *code == SqlState::INSUFFICIENT_PRIVILEGE => PostgresError::Right(reason(&error)),
            Some(code) if *code == SqlState::READ_ONLY_SQL_TRANSACTION => PostgresError::ReadOnly,
            // Class 57: the server ends the connection, and the commit may have happened.
            Some(code) if code.code().starts_with("57P") => PostgresError::Lost(reason(&error)),
            Some(code) if *code == SqlState::LOCK_NOT_AVAILABLE => PostgresError::Locked(reason(&error)),
            Some(_) => PostgresError::Refused(reason(&error)),
            // A value of a row, not the connection.
            None if is_about_a_value(&error) => PostgresError::Unreadable(reason(&error)),
            None => PostgresError::Lost(reason(&error)),
        }
    }
}

impl PostgresError {
    /// Returns why a server at an address cannot be connected to.
    pub(super) fn of_connecting(error: tokio_postgres::Error, address: String) -> Self {
        let reason = reason(&error);
        // The driver has no codes for these: a host was reached, and is not the one asked for; and it demands what
        // the configuration does not have.
        if reason.contains("database does not allow writes") {
            return PostgresError::ReadOnly;
        }
        if reason.contains("password missing") {
            return PostgresError::NoPassword(address);
        }
        if reason.contains("server does not support TLS") {
            return PostgresError::NoTls(address);
        }
        if let Some(remedy) = certificate_remedy(&error) {
            return PostgresError::Certificate { address, reason, remedy };
        }
        match PostgresError::from(error) {
            error @ (PostgresError::Denied(_) | PostgresError::NoDatabase(_) | PostgresError::Full(_)) => {
                error
            }
            _ => PostgresError::Connect { address, reason },
        }
    }
}

/// Returns what to do about a certificate that is refused; `None` if the error is another.
fn certificate_remedy(error: &tokio_postgres::Error) -> Option<&'static str> {
    let failed = error.source()?.downcast_ref::<io::Error>()?.get_ref()?.downcast_ref::<rustls::Error>()?;
    let rustls::Error::InvalidCertificate(fault) = failed else { return None };
    Some(match fault {
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "write a name of the certificate as the host of the URL, or have it made for that host"
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "renew it, and check the clock of this machine"
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "check the clock of this machine"
        }
        _ if failed.to_string().contains("CaUsedAsEndEntity") => {
            "it is one of an authority, as self-signed ones often are: make one without `CA:TRUE`, or have it signed by \
             an authority that `ca_file` of [store] names"
        }
        _ => "name the certificate of its authority in `ca_file` of [store]",
    })
}

/// Reports whether a value of a row is NULL or of another type than it should be.
fn is_about_a_value(error: &tokio_postgres::Error) -> bool {
    error.source().is_some_and(|cause| cause.is::<WasNull>() || cause.is::<WrongType>())
}

/// Returns an error's message with that of its cause, which says more.
pub(super) fn reason(error: &tokio_postgres::Error) -> String {
    match error.source() {
        Some(cause) if !error.to_string().contains(&cause.to_string()) => format!("{error}: {cause}"),
        _ => error.to_string(),
    }
}
