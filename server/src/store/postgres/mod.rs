//! The store over PostgreSQL, for several nodes on one database. PostgreSQL keeps the data, replicates it and decides the
//! order; nodes share nothing else.
//!
//! Each transaction that writes is one call of a function of the database (`migrations/`), whose first statement locks
//! the order row: such transactions follow one another, and the position is the order of their commits. What ends or
//! changes is named in the feed, one step for each position, which every node follows.

mod connection;
mod error;
mod feed;
mod schema;
mod tls;

pub use connection::{Connection, Server};
pub use error::PostgresError;
pub use feed::{Answer, Beat, Feed, Found, MAX_STEPS_BEHIND, Reading, Settled, Step, Ticket};
pub use schema::migrate;
pub use tls::Tls;
