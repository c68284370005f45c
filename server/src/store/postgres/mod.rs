//! The store over PostgreSQL, for several nodes on one database. PostgreSQL keeps the data, replicates it and decides
//! the order; nodes share nothing else.
//!
//! # Writing
//!
//! Each transaction that writes is one call of a function of the database (`migrations/`), whose first statement
//! locks the order row: such transactions follow one another, and the position is the order of their commits. Either
//! a logout sees the session of a sign-in, or the sign-in sees the logout. A sign-in is decided by a view, and
//! written only if the view still holds. What ends or changes is named in the feed, one step for each position, which
//! every node follows.
//!
//! A commit counts when the server says so without a warning: with a synchronous standby it is on that one too.
//! Where a standby is required ([`Settings::require_synchronous`]), it counts only if `synchronous_standby_names`
//! names one within its transaction and after it: what waits for a standby is let go when that setting is emptied.
//! When a connection is lost in the middle, the outcome is not known and the work counts as failed. A provider that
//! sends such a logout again may therefore be told that the token was used before.
//!
//! # Reading
//!
//! A node answers questions about sessions from a cache, while it has a lease (`feed.rs`): after a logout is
//! acknowledged, no node serves a session that it ended for longer than [`Settings::revocation_bound`]. Without a
//! lease a node says that it does not know. Clocks of nodes are not compared: durations go to the database, and its
//! clock decides.
//!
//! # Idle sessions
//!
//! A use of a session moves its end, in the memory of the node at first; nodes write uses in batches, each row at most once
//! in a step, without the order row: that a session lasts longer is no news for others. No node serves a session beyond
//! the end that the database has, so that no session outlives its row, which a logout would not find. A node whose cache
//! has an earlier end reads again. What shortens a session is a step of the feed.
//!
//! # What the bound assumes
//!
//! Clocks of all nodes that run at the same rate; and, over a failover, one synchronous standby, or a quorum of which
//! every two have a member in common. With asynchronous replication the bound, and what was acknowledged, hold until
//! a failover.

mod address;
mod administration;
mod condition;
mod connection;
mod copy;
mod error;
mod events;
mod examination;
mod feed;
mod follower;
mod keys;
mod listing;
mod logouts;
mod node;
mod records;
mod refreshes;
mod rows;
mod schema;
mod session;
mod sign_in;
mod sqlite;
mod tls;
mod unreadable;

pub use address::Address;
pub use administration::{Administration, Notice};
pub use condition::{Condition, Holder, Table, inspect};
pub use connection::{Connection, Server};
pub use copy::{Copied, copy_from_sqlite};
pub use error::{CopyError, PostgresError};
pub use examination::{Facts, examine};
pub use feed::{Answer, Beat, Feed, Found, MAX_STEPS_BEHIND, Reading, Settled, Step, Ticket};
pub use logouts::Logout;
pub use node::{NodeState, PgStore, REVOCATION_BOUND, Settings, Unsure};
pub use schema::{MIGRATIONS, Migration, migrate, migrate_to};
pub use tls::Tls;
