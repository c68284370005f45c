//! Whether the provider calls the e-mail address verified (OpenID Connect Core §5.1).

use serde_json::Value;

use super::error::{IdentityError, type_of};
use super::explain::{Observer, Seen};
use super::known::Known;
use super::spec::MappingSpec;
use super::{MappingError, SettingPath};

/// The claim of the address, and the one that says whether it is verified.
pub(super) const EMAIL: &str = "email";
const EMAIL_VERIFIED: &str = "email_verified";

/// When an address is accepted.
#[derive(Clone, Copy, Debug)]
pub(super) struct EmailRules {
    required: bool,
    absent_is_verified: bool,
    allow_unverified: bool,
}

/// What a claims set says of its address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verified {
    Yes,
    /// The claim is absent or null.
    Unsaid,
    /// The claim denies it, or is neither a boolean nor its text: what it is.
    No(&'static str),
}

impl EmailRules {
    pub(super) fn compile(spec: &MappingSpec) -> Result<Self, MappingError> {
        if spec.require_verified_email && spec.danger_allow_unverified_email {
            let reason = "contradicts require_verified_email = true: write one of the two";
            return Err(MappingError::setting(SettingPath::of("danger_allow_unverified_email"), reason));
        }
        Ok(Self {
            required: spec.require_verified_email,
            absent_is_verified: spec.danger_email_is_verified,
            allow_unverified: spec.danger_allow_unverified_email,
        })
    }

    /// Reports whether claims do not say whether their address is verified, which they must.
    #[cfg(feature = "oidc")]
    pub(super) fn lacks_verification(self, claims: &Value) -> bool {
        self.required && !self.absent_is_verified && claim(claims).is_none()
    }

    /// Reads the claim. `names` is whether a username may come from the address.
    pub(super) fn check(
        self,
        known: Known<'_>,
        names: bool,
        observer: &mut dyn Observer,
    ) -> Result<Verified, IdentityError> {
        let claim = claim(known.claims);
        if self.required || names {
            observer.email_verified(&|| Seen::values(claim.as_slice()));
        }
        let verified = match claim {
            None if self.absent_is_verified => Verified::Yes,
            None => Verified::Unsaid,
            Some(claim) => read(claim),
        };
        match verified {
            Verified::Unsaid if self.required && known.is_whole => {
                Err(IdentityError::EmailNotVerified { found: "absent" })
            }
            Verified::No(found) if self.required => Err(IdentityError::EmailNotVerified { found }),
            verified => Ok(verified),
        }
    }

    /// Checks an address that becomes the username: what the provider calls unverified is refused.
    pub(super) fn as_username(self, verified: Verified) -> Result<(), IdentityError> {
        match verified {
            Verified::No(found) if !self.allow_unverified => Err(IdentityError::EmailNotVerified { found }),
            _ => Ok(()),
        }
    }
}

/// Returns the claim that says whether the address is verified; `None` if it is absent or null.
fn claim(claims: &Value) -> Option<&Value> {
    claims.get(EMAIL_VERIFIED).filter(|claim| !claim.is_null())
}

/// Reads the claim. Several providers send the boolean as a text.
fn read(claim: &Value) -> Verified {
    match claim {
        Value::Bool(true) => Verified::Yes,
        Value::Bool(false) => Verified::No("false"),
        Value::String(text) if text == "true" => Verified::Yes,
        Value::String(text) if text == "false" => Verified::No("the text \"false\""),
        Value::String(_) => Verified::No("a text other than \"true\""),
        other => Verified::No(type_of(other)),
    }
}
