//! What a session keeps of its sign-in for rules of access: when the person authenticated, and the values of the claims
//! that the configuration names.

use std::fmt;
use std::sync::Arc;

use serde_json::{Map, Value};

use crate::claims::{Claims, NumericDate};
use crate::limits::Limits;
use crate::path::ClaimPath;
use crate::time::UnixTime;

/// Longest values of one claim that a session keeps, in bytes of JSON.
pub const MAX_KEPT_CLAIM: usize = 2 * 1024;

/// Longest values of all claims that a session keeps, in bytes of JSON with their paths: limits what a session takes in
/// memory and on the disk.
pub const MAX_KEPT_CLAIMS: usize = 4 * 1024;

/// Greatest time by which `auth_time` may be later than `iat`, in seconds. A later one is not believed.
const AUTH_TIME_LEEWAY: u64 = 60;

/// The claims that say how the person authenticated (Core §2): those of the ID token of the sign-in alone.
pub(super) const OF_THE_AUTHENTICATION: [&str; 3] = ["acr", "amr", "auth_time"];

/// What a session keeps of its sign-in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SessionFacts {
    /// When the person authenticated: `auth_time` of the ID token, by the provider's clock, or the time of a sign-in with
    /// a password. `None` where the provider does not say it.
    pub authenticated: Option<UnixTime>,
    /// The values of claims.
    pub claims: KeptClaims,
}

impl SessionFacts {
    /// Returns those of an ID token, without values of claims.
    pub(crate) fn of_id_token(claims: &Claims) -> Self {
        let issued_at = claims.issued_at().map(NumericDate::seconds);
        let latest = issued_at.map(|issued_at| issued_at.saturating_add(AUTH_TIME_LEEWAY));
        let authenticated =
            claims.get("auth_time").and_then(NumericDate::from_json).map(NumericDate::seconds);
        // A time in milliseconds would count as recent for ever.
        let authenticated = authenticated.filter(|time| latest.is_some_and(|latest| *time <= latest));
        Self { authenticated, claims: KeptClaims::default() }
    }
}

/// The values of claims by the paths that select them, as one JSON text. A session without any takes no memory for them.
///
/// ```
/// use claimgate::oidc::facts::KeptClaims;
/// use claimgate::path::ClaimPath;
///
/// let claims = serde_json::json!({"hd": "example.com", "acr": "mfa", "name": "Ada"});
/// let paths = [ClaimPath::parse("acr")?, ClaimPath::parse("$.roles[*]")?];
/// let (kept, left_out) = KeptClaims::of(&claims, &paths);
/// assert_eq!(kept.values("acr"), Some(vec!["mfa".into()]));
/// assert_eq!(kept.values("$.roles[*]"), Some(vec![]), "the claims have none");
/// assert_eq!(kept.values("hd"), None, "it was not kept");
/// assert!(left_out.is_empty());
/// # Ok::<(), claimgate::path::PathError>(())
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
pub struct KeptClaims(Option<Arc<String>>);

/// Prints no value.
impl fmt::Debug for KeptClaims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeptClaims({} bytes)", self.0.as_ref().map_or(0, |text| text.len()))
    }
}

impl KeptClaims {
    /// Keeps the values that paths select in the claims of a sign-in. Returns also the paths whose values are left out,
    /// because they are longer than [`MAX_KEPT_CLAIM`], or than what [`MAX_KEPT_CLAIMS`] leaves for them, or because the
    /// path would visit too many nodes. Such a path is kept without values: no condition on it is met.
    #[must_use]
    pub fn of<'p>(claims: &Value, paths: &'p [ClaimPath]) -> (Self, Vec<&'p ClaimPath>) {
        Self::of_paths(claims, paths.iter())
    }

    /// Keeps, as [`of`](Self::of), the values of those paths alone that claims which may not be all decide.
    pub(super) fn of_known<'p>(claims: &Value, paths: &'p [ClaimPath]) -> (Self, Vec<&'p ClaimPath>) {
        Self::of_paths(claims, paths.iter().filter(|path| path.is_decided_by(claims, &Limits::DEFAULT)))
    }

    /// Returns these with the values of others in place of their own, path by path. Values for which the others leave no room
    /// are dropped: no condition on them is met.
    pub(super) fn updated(&self, others: &Self) -> Self {
        let read = |kept: &Self| -> Map<String, Value> {
            kept.as_json().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
        };
        let (others, own) = (read(others), read(self));
        if others.is_empty() {
            return self.clone();
        }
        let length = |path: &str, values: &Value| path.len() + values.to_string().len();
        let taken: usize = others.iter().map(|(path, values)| length(path, values)).sum();
        let mut room = MAX_KEPT_CLAIMS.saturating_sub(taken);
        let mut kept = others;
        for (path, values) in own {
            if kept.contains_key(&path) {
                continue;
            }
            let length = length(&path, &values);
            let values = if length <= room { values } else { Value::Array(Vec::new()) };
            room -= if length <= room { length } else { 0 };
            kept.insert(path, values);
        }
        Self(Some(Arc::new(Value::Object(kept).to_string())))
    }

    fn of_paths<'p>(
        claims: &Value,
        paths: impl Iterator<Item = &'p ClaimPath>,
    ) -> (Self, Vec<&'p ClaimPath>) {
        let (mut kept, mut left_out, mut room) = (Map::new(), Vec::new(), MAX_KEPT_CLAIMS);
        for path in paths {
            let selected = path.select(claims, &Limits::DEFAULT);
            let values = selected.map(|values| Value::Array(values.into_iter().cloned().collect()));
            let fitting = values.ok().filter(|values| {
                let length = values.to_string().len();
                let whole = length + path.as_str().len();
                let fits = length <= MAX_KEPT_CLAIM && whole <= room;
                room -= if fits { whole } else { 0 };
                fits
            });
            let values = fitting.unwrap_or_else(|| {
                left_out.push(path);
                Value::Array(Vec::new())
            });
            kept.insert(path.as_str().to_owned(), values);
        }
        let text = (!kept.is_empty()).then(|| Arc::new(Value::Object(kept).to_string()));
        (Self(text), left_out)
    }

    /// Keeps that a sign-in without claims, with a password, has no value of these: conditions on them are not met.
    ///
    /// ```
    /// use claimgate::oidc::facts::KeptClaims;
    /// use claimgate::path::ClaimPath;
    ///
    /// let kept = KeptClaims::of_nothing(&[ClaimPath::parse("acr")?]);
    /// assert_eq!(kept.values("acr"), Some(vec![]), "known to be absent");
    /// // A store keeps the text, and reads it again.
    /// let stored = kept.as_json().map(str::to_owned);
    /// assert_eq!(KeptClaims::from_json(stored), kept);
    /// # Ok::<(), claimgate::path::PathError>(())
    /// ```
    #[must_use]
    pub fn of_nothing(paths: &[ClaimPath]) -> Self {
        Self::of(&Value::Object(Map::new()), paths).0
    }

    /// Takes a text that [`as_json`](Self::as_json) returned. Of another one no path has values.
    #[must_use]
    pub fn from_json(text: Option<String>) -> Self {
        Self(text.map(Arc::new))
    }

    /// Returns the values as a text, for a store; `None` if no claim was to be kept.
    #[must_use]
    pub fn as_json(&self) -> Option<&str> {
        self.0.as_ref().map(|text| text.as_str())
    }

    /// Returns the values that a path selected at the sign-in; `None` if the sign-in did not keep them.
    #[must_use]
    pub fn values(&self, path: &str) -> Option<Vec<Value>> {
        let mut kept: Map<String, Value> = serde_json::from_str(self.as_json()?).ok()?;
        match kept.remove(path) {
            Some(Value::Array(values)) => Some(values),
            _ => None,
        }
    }
}
