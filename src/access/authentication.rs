//! What a rule demands of the authentication: how long ago it was, and its context class.

use std::fmt;
use std::time::Duration;

use super::AccessError;
use super::caller::Caller;
use crate::identity::SettingPath;
use crate::oidc::id_token::MAX_CLOCK_DIFFERENCE;
use crate::time::{Seconds, UnixTime};

/// The shortest time that a rule can name, in seconds: a person needs as long to come back from the provider.
const SHORTEST_AGE: u64 = 10;

/// What a rule demands of the authentication; nothing by default. It is also what a new sign-in is to ask for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Authentication {
    /// The longest time since the person authenticated (`auth_time`), in whole seconds, beside 60 seconds between the
    /// clocks of provider and relying party.
    pub max_age: Option<Duration>,
    /// The authentication context class references of which `acr` must be one; none: every class.
    pub acr: Vec<String>,
}

impl Authentication {
    /// Compiles what a rule says, or else its application.
    ///
    /// # Errors
    /// An [`AccessError`] of a time that is too short, and of a class that is no word.
    pub(super) fn compile(
        max_age: Option<Seconds>,
        acr: Option<&[String]>,
        setting: &SettingPath,
    ) -> Result<Self, AccessError> {
        if max_age.is_some_and(|age| age.0 < SHORTEST_AGE) {
            let reason = format!("must be at least {SHORTEST_AGE} seconds, which a person needs to sign in");
            return Err(AccessError::new(setting.name("max_age"), reason));
        }
        let acr = acr.map(<[String]>::to_vec);
        if acr.as_ref().is_some_and(Vec::is_empty) {
            return Err(AccessError::with_remedy(setting.name("acr"), "names no class", "remove it"));
        }
        let acr = acr.unwrap_or_default();
        if let Some(index) = acr.iter().position(|text| !is_class(text)) {
            let reason = "is no authentication context class: one word without spaces and quotes";
            return Err(AccessError::new(setting.name("acr").index(index), reason));
        }
        Ok(Self { max_age: max_age.map(Seconds::duration), acr })
    }

    /// Reports whether it demands nothing.
    ///
    /// ```
    /// use claimgate::access::Authentication;
    ///
    /// let recent = Authentication { max_age: Some(std::time::Duration::from_secs(300)), acr: Vec::new() };
    /// assert!(!recent.is_empty());
    /// ```
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.max_age.is_none() && self.acr.is_empty()
    }

    /// Checks the authentication of a caller. Returns what is wrong with it.
    pub(super) fn check(&self, caller: &Caller<'_>, now: UnixTime) -> Result<(), String> {
        if let Some(max_age) = self.max_age {
            let latest = max_age.as_secs().saturating_add(MAX_CLOCK_DIFFERENCE);
            match caller.authenticated() {
                None => return Err("it is not known when the person authenticated".to_owned()),
                Some(time) if time > now.saturating_add(MAX_CLOCK_DIFFERENCE) => {
                    return Err("the time of the authentication is in the future".to_owned());
                }
                Some(time) if time.saturating_add(latest) < now => {
                    let ago = now.0.saturating_sub(time.0);
                    return Err(format!("the person authenticated {ago} s ago"));
                }
                Some(_) => {}
            }
        }
        if !self.acr.is_empty() && !caller.has_context(&self.acr) {
            return Err("the authentication is of another class, or of none".to_owned());
        }
        Ok(())
    }
}

/// Writes what is demanded: `an authentication at most 300 s ago, of the class mfa or phr`.
impl fmt::Display for Authentication {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an authentication")?;
        if let Some(max_age) = self.max_age {
            write!(f, " at most {} s ago", max_age.as_secs())?;
        }
        match (self.max_age, self.acr.as_slice()) {
            (_, []) => Ok(()),
            (Some(_), acr) => write!(f, ", of the class {}", acr.join(" or ")),
            (None, acr) => write!(f, " of the class {}", acr.join(" or ")),
        }
    }
}

/// Reports whether a text is a word that `acr_values` can list (Core §3.1.2.1), and a header field can quote.
fn is_class(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\'))
}
