//! The console: the pages of the administration at `/admin`.
//!
//! `frame` is what all pages share, `session` who may see them, `entry` the way in. The other files have one page each.
//! Pages are `maud` templates, which escape every value; scripts and styles are two files of this server.

pub(crate) mod assets;
pub(crate) mod entry;
pub(crate) mod frame;
pub(crate) mod findings;
pub(crate) mod charts;
pub(crate) mod overview;
pub(crate) mod claims_tree;
pub(crate) mod trial;
pub(crate) mod form_fields;
pub(crate) mod mapping_form;
pub(crate) mod mapping_fields;
pub(crate) mod mapping;
pub(crate) mod activity;
pub(crate) mod applications;
pub(crate) mod providers;
pub(crate) mod provider_form;
pub(crate) mod provider_fields;
pub(crate) mod sessions;
pub(crate) mod users;
pub(crate) mod session;
pub(crate) mod saving;
pub(crate) mod kept_secret;
