//! The key file beside the database: its key seals the cookies of sign-ins and the ID tokens at rest, so that a copy
//! of the database alone opens neither.

use std::io::{ErrorKind, Write};
use std::path::Path;

use zeroize::Zeroizing;

use super::file;
use crate::system;
use claimgate::oidc::records::StoreError;
use claimgate::oidc::seal::{KEY_LEN, Sealer};
use claimgate::oidc::session::SessionId;

/// The key of a database.
pub(crate) struct Key(Sealer);

impl Key {
    /// Returns the key of a database. Makes its file, for its owner alone, if there is none. A key that other users
    /// could read or change is replaced: a user who has it can seal values that are trusted.
    ///
    /// # Errors
    /// [`StoreError`]: the file cannot be read, written or made its owner's alone, or does not hold a key.
    pub(super) fn load(database: &Path) -> Result<Self, StoreError> {
        let name = file::beside(database, ".key");
        let failed = |reason: String| StoreError { reason: format!("{}: {reason}", name.display()) };
        if file::narrow(&name).map_err(|error| failed(error.to_string()))? {
            tracing::warn!(file = %name.display(), "the key is replaced: sign-ins in progress begin anew");
            std::fs::remove_file(&name).map_err(|error| failed(error.to_string()))?;
        }
        let key = match std::fs::read(&name).map(Zeroizing::new) {
            Err(error) if error.kind() == ErrorKind::NotFound => create(&name),
            read => read,
        };
        let key = key.map_err(|error| failed(error.to_string()))?;
        Sealer::new(&key).map(Self).ok_or_else(|| {
            failed(format!(
                "does not hold a key of {KEY_LEN} bytes; remove the file, and the next start makes a new key"
            ))
        })
    }

    /// Returns the key of a database in its bytes; `None` if there is none, or one that other users could read or
    /// change and that [`load`](Self::load) would replace.
    ///
    /// # Errors
    /// [`StoreError`]: the file cannot be read, or does not hold a key.
    pub(super) fn read(database: &Path) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
        let name = file::beside(database, ".key");
        let failed = |reason: String| StoreError { reason: format!("{}: {reason}", name.display()) };
        if file::open_to_others(&name).is_some() {
            return Ok(None);
        }
        match std::fs::read(&name).map(Zeroizing::new) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed(error.to_string())),
            Ok(key) if key.len() == KEY_LEN => Ok(Some(key)),
            Ok(_) => Err(failed(format!("does not hold a key of {KEY_LEN} bytes"))),
        }
    }

    /// Builds a key that is kept elsewhere. Returns `None` unless it has [`KEY_LEN`] bytes.
    pub(super) fn new(key: &[u8]) -> Option<Self> {
        Sealer::new(key).map(Self)
    }

    /// Returns a new key that is not kept.
    pub(super) fn temporary() -> Self {
        Self(Sealer::new(&random()).expect("its length is that of a key"))
    }

    /// Returns the sealer of cookies.
    pub(crate) fn sealer(&self) -> &Sealer {
        &self.0
    }

    /// Seals a text for a purpose.
    pub(crate) fn seal(&self, purpose: &str, text: &str) -> String {
        self.0.seal(purpose, text, &mut system::random)
    }

    /// Opens a value that was sealed for the same purpose; `None` for any other value.
    pub(crate) fn open(&self, purpose: &str, sealed: &str) -> Option<Zeroizing<String>> {
        self.0.open(purpose, sealed)
    }
}

/// Returns the purpose for which the ID token of a session is sealed: it opens in its own row only.
pub(super) fn id_token_purpose(session: SessionId) -> String {
    format!("id token of {session}")
}

/// Opens the ID token of a session that has ended. One that does not open is reported: the provider is not told which
/// session it was.
pub(super) fn open_id_token(key: &Key, session: SessionId, sealed: &str) -> Option<String> {
    let opened = key.open(&id_token_purpose(session), sealed);
    if opened.is_none() {
        tracing::warn!(
            %session,
            "the ID token of a session cannot be opened: it is damaged, or the key of the store is another since"
        );
    }
    opened.map(|token| token.to_string())
}

fn create(name: &Path) -> std::io::Result<Zeroizing<Vec<u8>>> {
    let key = random();
    let mut created = file::create(name)?;
    created.write_all(&key)?;
    created.sync_all()?;
    tracing::info!(file = %name.display(), "made a key for cookies and stored ID tokens");
    Ok(key)
}

fn random() -> Zeroizing<Vec<u8>> {
    let mut key = Zeroizing::new(vec![0; KEY_LEN]);
    system::random(&mut key);
    key
}
