//! `[store]`: the PostgreSQL that several servers share.

use std::time::Duration;

use super::checked::Postgres;
use super::files::FileContent;
use super::raw;
use super::section::{Faulty, Section};

/// The shortest and the longest `revocation_bound`, in seconds. A server hears of the others' logouts each 100 ms: a
/// shorter bound would be missed by an ordinary delay.
const REVOCATION_BOUND: (u64, u64) = (1, 600);

/// Resolves the table; every fault in it is recorded. Parts of the URL are judged where it is used.
pub(super) fn resolve(section: &Section<'_>, raw: raw::Store) -> Result<Postgres, Faulty> {
    let url = section.required(
        "url",
        raw.url,
        "the address of the database, such as \"postgres://claimgate@db.example.com/claimgate\"",
    );
    let password = section.secret(
        "password",
        raw.password.as_ref(),
        raw.password_file.as_ref(),
        raw.password_env.as_ref(),
    );
    let seconds = raw.revocation_bound.0;
    let (shortest, longest) = REVOCATION_BOUND;
    let bound = match (shortest..=longest).contains(&seconds) {
        true => Ok(Duration::from_secs(seconds)),
        false => Err(section.fault("revocation_bound", "must be from 1 second to 10 minutes")),
    };
    let ca_file = raw.ca_file.map(|file| section.file("ca_file", &file, FileContent::Authorities));
    Ok(Postgres {
        url: url?,
        url_place: section.source.document.place(&section.path.name("url")),
        password: password?,
        ca_file,
        danger_plaintext: raw.danger_plaintext,
        revocation_bound: bound?,
        require_synchronous: raw.require_synchronous,
    })
}
