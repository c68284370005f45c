//! Signed statements about the sender of a request, for applications that do not trust the network: a JWT for one
//! application, good for a minute. The keys are kept in the store, sealed as ID tokens are.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use serde::Serialize;
use serde_json::Value;
use tokio::sync::Mutex;
use tracing::{info, warn};

use super::signing_keys::{PUBLISHED_AFTER, SigningKeys};
use crate::store::{ASSERTION_KEYS, AdminRecords, Store};
use claimgate::access::Caller;
use claimgate::oidc::records::StoreError;
use claimgate::time::UnixTime;

/// How long an assertion is good for.
const LIFETIME: Duration = Duration::from_secs(60);
/// How long the keys are used before they are read again.
const REREAD_AFTER: Duration = Duration::from_secs(10 * 60);
/// The media type of assertions, without `application/`: no token of another purpose passes for one.
const TYPE: &str = "claimgate-assertion+jwt";

/// The claims of an assertion.
#[derive(Serialize)]
struct Claims<'c> {
    iss: &'c str,
    aud: &'c str,
    sub: String,
    iat: i64,
    exp: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    preferred_username: Option<&'c str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    email: Option<&'c str>,
    groups: Vec<&'c str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_id: Option<&'c str>,
}

/// The assertions of a server: its keys, read from the store when they are first needed.
#[derive(Default)]
pub(crate) struct Assertions {
    known: ArcSwapOption<Known>,
    /// Held by the request that reads the keys.
    turn: Mutex<()>,
}

struct Known {
    keys: SigningKeys,
    read_at: UnixTime,
}

impl Known {
    fn is_younger(&self, than: Duration, now: UnixTime) -> bool {
        (self.read_at..self.read_at.saturating_add(than.as_secs())).contains(&now)
    }
}

impl Assertions {
    /// Signs an assertion of an issuer about a sender, for an audience. It is empty for a stranger.
    ///
    /// # Errors
    /// [`StoreError`]: the keys cannot be read.
    pub(crate) async fn sign(
        &self,
        store: &Store,
        (issuer, audience): (&str, &str),
        caller: Caller<'_>,
        now: UnixTime,
    ) -> Result<String, StoreError> {
        let sub = match (caller.user, caller.client) {
            (Some(user), _) => user.id.0.to_string(),
            // No user's identifier holds a colon.
            (None, Some(client)) => format!("client:{client}"),
            (None, None) => return Ok(String::new()),
        };
        let user = caller.user;
        let claims = Claims {
            iss: issuer,
            aud: audience,
            sub,
            iat: now.0,
            exp: now.saturating_add(LIFETIME.as_secs()).0,
            preferred_username: user.map(|user| user.username.as_str()),
            name: user.map(|user| user.display_name()),
            email: user.and_then(|user| user.email()),
            groups: user.iter().flat_map(|user| user.teams.keys()).map(String::as_str).collect(),
            client_id: caller.client,
        };
        Ok(self.known(store, now).await?.keys.sign(TYPE, &claims, now))
    }

    /// Returns the public keys as a JWK set.
    ///
    /// # Errors
    /// [`StoreError`]: the keys cannot be read.
    pub(crate) async fn published(&self, store: &Store, now: UnixTime) -> Result<Value, StoreError> {
        Ok(self.known(store, now).await?.keys.published())
    }

    /// Returns the keys, and reads them again after a while: another server may have made the next one. Keys that were
    /// read less than an hour ago are used although the store fails, because they are still published.
    async fn known(&self, store: &Store, now: UnixTime) -> Result<Arc<Known>, StoreError> {
        let known = self.known.load_full();
        if let Some(known) = known.as_ref().filter(|known| known.is_younger(REREAD_AFTER, now)) {
            return Ok(Arc::clone(known));
        }
        let usable = known.filter(|known| known.is_younger(PUBLISHED_AFTER, now));
        let _turn = match &usable {
            None => self.turn.lock().await,
            Some(usable) => match self.turn.try_lock() {
                Ok(turn) => turn,
                Err(_) => return Ok(Arc::clone(usable)),
            },
        };
        // Another request may have read them meanwhile.
        if let Some(known) = self.known.load_full().filter(|known| known.is_younger(REREAD_AFTER, now)) {
            return Ok(known);
        }
        match (read(store, now).await, usable) {
            (Ok(keys), _) => {
                let known = Arc::new(Known { keys, read_at: now });
                self.known.store(Some(Arc::clone(&known)));
                Ok(known)
            }
            (Err(error), Some(usable)) => {
                warn!(%error, "the keys of assertions cannot be read again; those of before stay in use");
                Ok(usable)
            }
            (Err(error), None) => Err(error),
        }
    }
}

/// Reads the keys; where one is due, writes them, in a transaction that reads them again: servers of one database have the
/// same keys.
async fn read(store: &Store, now: UnixTime) -> Result<SigningKeys, StoreError> {
    let own = store.clone();
    let mut keys = store.look(move |records| kept_keys(records, &own)).await?;
    if !keys.advance(now) {
        return Ok(keys);
    }
    let own = store.clone();
    let written = store.administer(move |records| {
        let mut keys = kept_keys(records, &own)?;
        let changed = keys.advance(now);
        if changed {
            records.keep(ASSERTION_KEYS, &own.key().seal(ASSERTION_KEYS, &keys.to_text()))?;
        }
        Ok::<_, StoreError>((keys, changed))
    });
    let (keys, changed) = written.await?;
    if changed {
        info!("the keys of assertions have changed");
    }
    Ok(keys)
}

/// Reads the keys that are kept; those that cannot be read are reported, and count as none.
fn kept_keys(records: &mut dyn AdminRecords, store: &Store) -> Result<SigningKeys, StoreError> {
    let Some(sealed) = records.kept(ASSERTION_KEYS)? else { return Ok(SigningKeys::default()) };
    let keys = store.key().open(ASSERTION_KEYS, &sealed).and_then(|text| SigningKeys::parse(&text));
    if keys.is_none() {
        warn!(
            "the keys of assertions cannot be read, and new ones are made: their row is damaged, or the key of the store is another since"
        );
    }
    Ok(keys.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::SqliteStore;
    use claimgate::Verifier;
    use claimgate::claims::{Jwt, Policy};
    use claimgate::key::KeySet;
    use claimgate::limits::Limits;
    use claimgate::oidc::user::{TeamSource, User, UserId, UserKind};

    const NOW: UnixTime = UnixTime(1_800_000_000);
    const PARTIES: (&str, &str) = ("https://sso.example.com", "https://wiki.example.com");

    fn user() -> User {
        User {
            id: UserId(7),
            username: "zoë".to_owned(),
            kind: UserKind::Regular,
            active: true,
            profile: [("name".to_owned(), "Zoë Zimt".to_owned())].into(),
            teams: [("Lab, north".to_owned(), TeamSource::Hand)].into(),
        }
    }

    async fn verifier(assertions: &Assertions, store: &Store, audience: &str, typ: &str) -> Verifier<Jwt> {
        let published = assertions.published(store, NOW).await.expect("keys").to_string();
        Verifier::builder()
            .algorithms(["ES256"])
            .any_keys(KeySet::from_jwks(published.as_bytes(), &Limits::DEFAULT).expect("a JWK set"))
            .policy(Policy::<Jwt>::jwt().issuer(PARTIES.0).audience(audience).typ(typ))
            .build()
            .expect("a verifier")
    }

    // attack: headers.other-assertion
    #[tokio::test]
    async fn an_assertion_says_who_it_is_for_one_application_and_a_minute() {
        let store = Store::Sqlite(SqliteStore::in_memory().expect("a store"));
        let assertions = Assertions::default();
        let user = user();
        let mut caller = Caller::from(&user);
        caller.client = Some("app");
        let token = assertions.sign(&store, PARTIES, caller, NOW).await.expect("signed");
        let own = verifier(&assertions, &store, PARTIES.1, TYPE).await;
        let claims = own.verify(&token, NOW).expect("valid").claims().as_value().clone();
        let wanted = serde_json::json!({
            "iss": PARTIES.0, "aud": PARTIES.1, "sub": "7", "iat": NOW.0, "exp": NOW.0 + 60,
            "preferred_username": "zoë", "name": "Zoë Zimt", "groups": ["Lab, north"], "client_id": "app",
        });
        assert_eq!(claims, wanted);
        let refused =
            |verifier: Verifier<Jwt>, now| verifier.verify(&token, now).expect_err("refused").code();
        assert_eq!(refused(own, NOW.saturating_add(60 + 61)), "claims.expired");
        let other = verifier(&assertions, &store, "https://other.example.com", TYPE).await;
        assert_eq!(refused(other, NOW), "claims.audience");
        assert_eq!(refused(verifier(&assertions, &store, PARTIES.1, "at+jwt").await, NOW), "claims.typ");

        let mut program = Caller::default();
        program.client = Some("7");
        let token = assertions.sign(&store, PARTIES, program, NOW).await.expect("signed");
        let own = verifier(&assertions, &store, PARTIES.1, TYPE).await;
        assert_eq!(own.verify(&token, NOW).expect("valid").claims().subject(), Some("client:7"));
        assert_eq!(assertions.sign(&store, PARTIES, Caller::default(), NOW).await.as_deref(), Ok(""));
    }

    #[tokio::test]
    async fn servers_of_one_store_have_the_same_keys_and_follow_each_other() {
        let store = Store::Sqlite(SqliteStore::in_memory().expect("a store"));
        let (one, other) = (Assertions::default(), Assertions::default());
        let keys = one.published(&store, NOW).await.expect("keys");
        assert_eq!(other.published(&store, NOW).await.expect("keys"), keys);
        // One of them makes the next key; the other reads it within ten minutes.
        let later = NOW.saturating_add(29 * 24 * 60 * 60);
        let both = one.published(&store, later).await.expect("keys");
        assert_eq!(both["keys"].as_array().map(Vec::len), Some(2));
        assert_eq!(other.published(&store, later).await.expect("keys"), both);
        assert_eq!(other.published(&store, later.saturating_add(60)).await.expect("keys"), both);
        // What is in the store is sealed.
        let kept =
            store.administer(|records| records.kept(ASSERTION_KEYS)).await.expect("a store").expect("kept");
        assert!(SigningKeys::parse(&kept).is_none());
        assert!(store.key().open(ASSERTION_KEYS, &kept).is_some());
    }

    #[tokio::test]
    async fn a_store_that_fails_leaves_the_keys_in_use_for_an_hour() {
        let sqlite = SqliteStore::in_memory().expect("a store");
        let store = Store::Sqlite(sqlite.clone());
        let assertions = Assertions::default();
        let keys = assertions.published(&store, NOW).await.expect("keys");
        sqlite.close();
        assert_eq!(assertions.published(&store, NOW.saturating_add(59 * 60)).await.as_ref(), Ok(&keys));
        assertions.published(&store, NOW.saturating_add(60 * 60)).await.expect_err("too old");
        Assertions::default().published(&store, NOW).await.expect_err("never read");
    }
}
