//! The relying party over HTTP.
//!
//! A handler extracts, makes one domain call, and responds. `respond` is the only file that chooses a
//! status.

pub(crate) mod access_trial;
mod account_page;
mod admin_client;
mod administration;
mod admission;
mod app;
pub(crate) mod appearance;
mod assertion;
mod buffers;
pub(crate) mod capacity;
pub(crate) mod check_steps;
mod client_address;
mod connection;
mod connection_places;
mod console;
mod cookie;
mod counted_lines;
mod cross_site;
mod event_buffer;
mod events;
mod extract;
mod identity;
mod limiter;
mod logout_queue;
mod metrics;
mod own_keys;
mod own_sessions;
mod page;
pub mod password;
mod password_check;
mod presented;
mod problem;
mod process_metrics;
pub mod provider;
pub(crate) mod provider_check;
mod provider_clock;
pub mod provider_error;
mod recent_sign_ins;
pub(crate) mod rehearsal;
mod refresh_places;
mod refreshes;
pub(crate) mod reload;
mod request_log;
mod requested;
mod respond;
mod routes;
mod rule_use;
pub mod run;
mod sender;
mod session_refresh;
mod shares;
mod sign_in;
mod sign_in_link;
mod signing_keys;
mod single_use;
mod texts;
pub(crate) mod token_log;
mod transmitter;
mod transmitter_check;
mod wording;

pub use app::{Server, SetupError};
