//! Claimgate: verify a JSON Web Token, read its claims, decide who it is.
//!
//! (Modules stand in data-flow order; a module never imports one to its right.)

pub mod limits;
pub mod path;
pub mod identity;
#[cfg(feature = "config")]
pub mod config;
#[cfg(feature = "sign")]
pub mod sign;
