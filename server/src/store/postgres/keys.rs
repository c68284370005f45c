//! The keys that the nodes of a database share, kept in it.

use base64ct::{Base64UrlUnpadded, Encoding};
use ring::hmac;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::connection::Connection;
use super::error::PostgresError;
use crate::store::key::Key;
use crate::system;
use claimgate::oidc::seal::KEY_LEN;

/// Bytes of the code behind a session's secret: 2^128 guesses find one.
const CODE_LEN: usize = 16;

/// The name of the key that seals.
pub(super) const SEALING_KEY: &str = "sealing key";
/// The name of the key that authenticates the secrets of sessions.
const SESSION_KEY: &str = "session key";
/// The names of both. What else the table has is sealed.
pub(super) const KEYS: [&str; 2] = [SEALING_KEY, SESSION_KEY];

/// The keys of a database.
pub(super) struct Keys {
    /// Seals the cookies of sign-ins and the ID tokens at rest.
    pub(super) sealing: Key,
    /// Authenticates the secrets of sessions.
    pub(super) secrets: SecretKey,
}

impl Keys {
    /// Returns the keys of a database. The first node makes them.
    ///
    /// # Errors
    /// [`PostgresError`].
    pub(super) async fn load(connection: &Connection) -> Result<Self, PostgresError> {
        let sealing = load(connection, SEALING_KEY).await?;
        let secrets = load(connection, SESSION_KEY).await?;
        let sealing = Key::new(&sealing).ok_or_else(|| unusable(SEALING_KEY))?;
        Ok(Self { sealing, secrets: SecretKey::new(&secrets) })
    }
}

fn unusable(name: &str) -> PostgresError {
    PostgresError::Unreadable(format!(
        "the {name} does not have its length; restore the database, or run DELETE FROM claimgate.meta WHERE name = \
         '{name}' while no server runs: the next start makes another, and people sign in again"
    ))
}

/// Returns a key by name; makes it if there is none. One of another length is an error: a node that made a new one would
/// not understand those that run.
async fn load(connection: &Connection, name: &str) -> Result<Zeroizing<Vec<u8>>, PostgresError> {
    if let Some(key) = read(connection, name).await? {
        return if key.len() == KEY_LEN { Ok(key) } else { Err(unusable(name)) };
    }
    let mut key = Zeroizing::new(vec![0; KEY_LEN]);
    system::random(&mut key);
    let insert = "INSERT INTO meta (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING";
    connection.query(insert, &[&name, &key.as_slice()]).await?;
    // Another node may have been first.
    let key = read(connection, name).await?;
    key.ok_or_else(|| PostgresError::Unreadable(format!("the {name} is missing")))
}

async fn read(connection: &Connection, name: &str) -> Result<Option<Zeroizing<Vec<u8>>>, PostgresError> {
    let rows = connection.read("SELECT value FROM meta WHERE name = $1", &[&name]).await?;
    Ok(rows.first().map(|row| row.try_get(0)).transpose()?.map(Zeroizing::new))
}

/// The key that authenticates the secrets of sessions, so that an invented one is refused without a question to the
/// database.
pub(super) struct SecretKey(hmac::Key);

impl SecretKey {
    fn new(key: &[u8]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, key))
    }

    fn code(&self, random: &str) -> String {
        let tag = hmac::sign(&self.0, random.as_bytes());
        Base64UrlUnpadded::encode_string(&tag.as_ref()[..CODE_LEN])
    }

    /// Returns the secret of a session: a random text and its code.
    pub(super) fn authenticate(&self, random: &str) -> Zeroizing<String> {
        Zeroizing::new(format!("{random}.{}", self.code(random)))
    }

    /// Reports whether a secret has the code of its random text.
    pub(super) fn is_authentic(&self, secret: &str) -> bool {
        secret
            .rsplit_once('.')
            .is_some_and(|(random, code)| self.code(random).as_bytes().ct_eq(code.as_bytes()).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_that_this_key_did_not_make_is_refused() {
        let key = SecretKey::new(&[1; KEY_LEN]);
        let secret = key.authenticate("random");
        assert!(key.is_authentic(&secret));
        assert!(!SecretKey::new(&[2; KEY_LEN]).is_authentic(&secret));
        let (random, code) = secret.split_once('.').expect("a code");
        for other in
            [random, code, "", ".", "random.", &format!("Random.{code}"), &secret[..secret.len() - 1]]
        {
            assert!(!key.is_authentic(other), "{other}");
        }
        assert!(!key.is_authentic(&format!("{}A", &*secret)));
    }
}
