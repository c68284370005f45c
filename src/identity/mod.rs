//! Identity mapping.
