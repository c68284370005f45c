//! What people and programs read about a problem: the one table from a problem to a text.
//!
//! A page has a sentence in the reader's language that the reader can act on, a JSON document one in English;
//! neither says which check a token failed.

use std::borrow::Cow;

use super::problem::{AccessReason, AdminError, Problem};
use super::texts::{Language, Texts, fill};
use claimgate::access::MissingTeams;
use claimgate::identity::IdentityError;
use claimgate::oidc::authorization::CallbackError;
use claimgate::oidc::backchannel::LogoutError;
use claimgate::oidc::id_token::IdTokenError;
use claimgate::oidc::security_events::SecurityEventError;
use claimgate::oidc::sign_in::SignInError;
use claimgate::oidc::token::TokenError;
use claimgate::oidc::userinfo::UserInfoError;
use claimgate_remote::RemoteError;

impl Problem {
    /// Returns the title of the page.
    pub(super) fn title(&self, texts: &Texts) -> &'static str {
        match self {
            Problem::Provider(RemoteError::Signature(_)) => texts.title_no_verification,
            Problem::UserInfo(UserInfoError::Token(error)) if error.unavailable().is_some() => {
                texts.title_no_verification
            }
            Problem::Provider(_) | Problem::Fetch(_) => texts.title_no_provider,
            Problem::Busy | Problem::LogoutsDropped(_) => texts.title_busy,
            Problem::Unsure(_) => texts.title_try_again,
            Problem::Store(_)
            | Problem::SignIn(SignInError::Store(_))
            | Problem::Logout(LogoutError::Store(_))
            | Problem::SecurityEvent(SecurityEventError::Store(_)) => texts.title_not_saved,
            Problem::Callback(CallbackError::Provider { .. })
            | Problem::IdToken(_)
            | Problem::SignIn(_)
            | Problem::Demand(_)
            | Problem::WrongPassword => texts.title_refused,
            Problem::Callback(_) | Problem::Token(_) | Problem::UserInfo(_) => texts.title_failed,
            Problem::Logout(_) | Problem::SecurityEvent(_) | Problem::FrontChannel(_) => {
                texts.title_logout_refused
            }
            Problem::Password(_)
            | Problem::BadRequest(_)
            | Problem::Member { .. }
            | Problem::Username(_)
            | Problem::Text(_)
            | Problem::Parameter(_) => texts.title_bad_request,
            Problem::TooManyRequests | Problem::TooManyLogouts => texts.title_too_many_requests,
            Problem::TooManyPasswords | Problem::TooManyCodes => texts.title_too_many_attempts,
            Problem::SignedOut
            | Problem::NoToken
            | Problem::BearerToken(_)
            | Problem::VerifySecret
            | Problem::Admin(AdminError::Session) => texts.title_not_signed_in,
            Problem::CrossSite
            | Problem::Forbidden
            | Problem::Admin(_)
            | Problem::AdminClient(_)
            | Problem::LastSuperAdmin => texts.title_not_allowed,
            Problem::Access(refusal) if refusal.reason.authentication().is_some() => texts.sign_in_again,
            Problem::Access(_) => texts.title_no_access,
            Problem::NotFound => texts.title_not_found,
            Problem::Method => texts.title_method,
            Problem::Taken => texts.title_taken,
            Problem::TooLarge | Problem::TooManyFields => texts.title_too_large,
            Problem::SlowBody => texts.title_too_slow,
        }
    }

    /// Returns the text of the page: what happened, and what to do.
    pub(super) fn message(&self, texts: &Texts) -> Cow<'static, str> {
        let text = match self {
            Problem::Provider(RemoteError::Signature(_)) => texts.signatures,
            Problem::Provider(_) | Problem::Fetch(_) => texts.provider_unavailable,
            Problem::Busy | Problem::LogoutsDropped(_) => texts.busy,
            Problem::Unsure(_) => texts.unsure,
            Problem::Store(_)
            | Problem::SignIn(SignInError::Store(_))
            | Problem::Logout(LogoutError::Store(_))
            | Problem::SecurityEvent(SecurityEventError::Store(_)) => texts.not_saved,
            Problem::Callback(error) => return callback(error, texts),
            Problem::Token(TokenError::Refused { error, description }) => {
                let description = description.as_ref().map(|text| format!(": {text}")).unwrap_or_default();
                return fill(texts.token_refused, &[("reason", &format!("{error}{description}"))]);
            }
            Problem::Token(error) if error.unavailable().is_some() => texts.signing,
            Problem::Token(_) | Problem::UserInfo(_) => texts.provider_answer,
            Problem::IdToken(IdTokenError::AuthContext { .. }) => texts.not_stronger,
            Problem::IdToken(IdTokenError::AuthTime { .. }) => texts.not_asked_again,
            Problem::IdToken(_) => texts.id_token,
            Problem::Demand(_) => return asking(texts.demand, texts),
            Problem::SignIn(refusal) => return sign_in(refusal, texts),
            Problem::Logout(_) | Problem::SecurityEvent(SecurityEventError::Token(_)) => texts.logout_token,
            Problem::SecurityEvent(_) | Problem::FrontChannel(_) => texts.bad_request,
            Problem::BearerToken(_) => texts.bearer_token,
            Problem::Access(refusal) => return access(&refusal.reason, texts),
            Problem::WrongPassword => texts.wrong_password,
            Problem::TooManyPasswords => texts.too_many_passwords,
            Problem::TooManyCodes => texts.too_many_codes,
            Problem::TooManyRequests | Problem::TooManyLogouts => texts.too_many_requests,
            Problem::CrossSite => texts.cross_site,
            Problem::SignedOut | Problem::NoToken | Problem::VerifySecret => texts.not_signed_in,
            Problem::Forbidden | Problem::AdminClient(_) | Problem::LastSuperAdmin => texts.forbidden,
            Problem::Admin(_) => texts.administration,
            Problem::NotFound => texts.not_found,
            Problem::Method => texts.method,
            Problem::Password(_)
            | Problem::BadRequest(_)
            | Problem::Member { .. }
            | Problem::Username(_)
            | Problem::Text(_)
            | Problem::Parameter(_) => texts.bad_request,
            Problem::Taken => texts.taken,
            Problem::TooLarge | Problem::TooManyFields => texts.too_large,
            Problem::SlowBody => texts.too_slow,
        };
        text.into()
    }

    /// Returns the text of a JSON document, in English: that of the page where the problem's own says more than a
    /// client may know, else the problem's own.
    pub(crate) fn description(&self) -> Cow<'static, str> {
        match self {
            Problem::SecurityEvent(SecurityEventError::Token(_)) => {
                "The security event token is not accepted.".into()
            }
            Problem::Provider(_)
            | Problem::Fetch(_)
            | Problem::Busy
            | Problem::Unsure(_)
            | Problem::Store(_)
            | Problem::Callback(CallbackError::Provider { .. })
            | Problem::Token(_)
            | Problem::UserInfo(_)
            | Problem::IdToken(_)
            | Problem::Demand(_)
            | Problem::SignIn(_)
            | Problem::Logout(_)
            | Problem::SecurityEvent(SecurityEventError::Store(_))
            | Problem::BearerToken(_)
            | Problem::Access(_) => self.message(Language::English.texts()),
            Problem::LastSuperAdmin => format!(
                "{self}. If it is meant, send `even_last_super_admin` as true too; `claimgate user activate`, or `claimgate user add \
                 NAME --kind super-admin`, on the server undoes it"
            )
            .into(),
            _ => self.to_string().into(),
        }
    }
}

/// Returns a text, followed by whom to ask.
fn asking(text: &'static str, texts: &Texts) -> Cow<'static, str> {
    format!("{text} {}", texts.ask_administrator).into()
}

/// Returns what a person reads whose sign-in is refused.
fn sign_in(refusal: &SignInError, texts: &Texts) -> Cow<'static, str> {
    let happened = match refusal {
        SignInError::NotLinked(_) | SignInError::UsernameTaken => texts.not_linked,
        SignInError::Unknown => texts.no_account,
        SignInError::Inactive => texts.inactive,
        SignInError::Identity(IdentityError::NoUsername) => texts.no_username,
        SignInError::Identity(IdentityError::NoTeam) => texts.no_team,
        SignInError::Admin => texts.no_admins,
        SignInError::Kind => texts.unsuitable_kind,
        SignInError::LoggedOut => return texts.logged_out.into(),
        _ => texts.other_refusal,
    };
    asking(happened, texts)
}

/// Returns what a person reads whose return from the provider is refused.
fn callback(error: &CallbackError, texts: &Texts) -> Cow<'static, str> {
    match error {
        CallbackError::Provider { error, description } => {
            provider_refusal(error, description.as_deref(), texts).into()
        }
        CallbackError::State => texts.callback_state.into(),
        CallbackError::TooLate => texts.callback_late.into(),
        CallbackError::Used => texts.callback_used.into(),
        _ => texts.callback_bad.into(),
    }
}

/// Returns what a person reads when the provider answered a sign-in with an `error`.
fn provider_refusal(error: &str, description: Option<&str>, texts: &Texts) -> String {
    let mut text = match error {
        "access_denied" => texts.declined,
        "login_required" | "interaction_required" | "consent_required" | "account_selection_required" => {
            texts.must_ask
        }
        "temporarily_unavailable" | "server_error" => texts.provider_problem,
        _ => texts.provider_refused,
    }
    .to_owned();
    if let Some(description) = description.map(str::trim).filter(|description| !description.is_empty()) {
        text.push(' ');
        text.push_str(&fill(texts.provider_says, &[("description", description)]));
    }
    text.push(' ');
    text.push_str(texts.try_again);
    text
}

/// Returns what a person reads whose request is not admitted to an application.
fn access(reason: &AccessReason, texts: &Texts) -> Cow<'static, str> {
    match reason {
        AccessReason::Team(_) | AccessReason::Rule(_) => match reason.teams() {
            Some(teams) => match (teams.names(), teams) {
                ([team], _) => fill(texts.for_team, &[("team", team)]),
                (teams, MissingTeams::OneOf(_)) => fill(texts.for_teams, &[("teams", &teams.join(", "))]),
                (teams, _) => fill(texts.for_all_teams, &[("teams", &teams.join(", "))]),
            },
            None => texts.not_for_you.into(),
        },
        AccessReason::Authentication(_) => texts.again_needed.into(),
        AccessReason::NoApplication | AccessReason::NoRule(_) => texts.for_no_one.into(),
        AccessReason::Ambiguous(..) => texts.ambiguous.into(),
        AccessReason::Headers(_) => texts.too_many_teams.into(),
    }
}
