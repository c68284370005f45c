//! Problems: the failures of a request that its client is answered with.
//!
//! `respond` has the table from a problem to a status and a text.

use axum::extract::rejection::BytesRejection;

use super::password::PasswordError;
use super::shares::Exhausted;
use crate::store::postgres::Unsure;
use crate::store::{LogoutsDropped, RevocationError};
use claimgate::access::{Ambiguity, Authentication, Insufficient, Missing, MissingTeams};
use claimgate::claims::ClaimsError;
use claimgate::identity::IdentityError;
use claimgate::oidc::accounts::AccountError;
use claimgate::oidc::authorization::CallbackError;
use claimgate::oidc::backchannel::LogoutError;
use claimgate::oidc::frontchannel::FrontChannelError;
use claimgate::oidc::id_token::IdTokenError;
use claimgate::oidc::password::PasswordSignInError;
use claimgate::oidc::records::StoreError;
use claimgate::oidc::security_events::SecurityEventError;
use claimgate::oidc::sign_in::SignInError;
use claimgate::oidc::token::TokenError;
use claimgate::oidc::userinfo::UserInfoError;
use claimgate_remote::{FetchError, RemoteError};

/// A failed request.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Problem {
    #[error(transparent)]
    Provider(#[from] RemoteError),
    #[error(transparent)]
    Fetch(#[from] FetchError),
    #[error(transparent)]
    Callback(#[from] CallbackError),
    #[error(transparent)]
    Token(#[from] TokenError),
    #[error(transparent)]
    IdToken(#[from] IdTokenError),
    #[error(transparent)]
    UserInfo(#[from] UserInfoError),
    #[error(transparent)]
    SignIn(#[from] SignInError),
    /// The claims of a sign-in do not meet a demand of the file.
    #[error(transparent)]
    Demand(ClaimsError),
    #[error(transparent)]
    Logout(#[from] LogoutError),
    #[error(transparent)]
    SecurityEvent(#[from] SecurityEventError),
    #[error(transparent)]
    FrontChannel(#[from] FrontChannelError),
    #[error("too many front-channel logouts at once")]
    TooManyLogouts,
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    LogoutsDropped(LogoutsDropped),
    #[error(transparent)]
    Unsure(#[from] Unsure),
    #[error(transparent)]
    Password(#[from] PasswordError),
    #[error("the server is busy")]
    Busy,
    #[error("too many requests at once from this address; try again in a few seconds")]
    TooManyRequests,
    #[error("the username or the password is wrong, or this user may not sign in with a password")]
    WrongPassword,
    #[error("too many attempts; wait a minute, then try again")]
    TooManyPasswords,
    #[error("too many sign-ins from this address failed; wait a minute, then try again")]
    TooManyCodes,
    #[error("the request comes from another site")]
    CrossSite,
    #[error("you are not signed in")]
    SignedOut,
    /// Neither a session nor a bearer token, for an application that accepts both.
    #[error("you are not signed in, and sent no bearer token")]
    NoToken,
    /// A bearer token is not accepted: the code of the reason.
    #[error("the bearer token is not accepted [{0}]")]
    BearerToken(&'static str),
    #[error("you are not allowed to do this")]
    Forbidden,
    #[error(transparent)]
    Admin(#[from] AdminError),
    /// The administration does not do this for the client that a bearer token was issued to.
    #[error("the client of this bearer token may not do this: see [[admin_client]]")]
    AdminClient(String),
    /// Forward-auth does not admit the request, for a reason other than a missing session.
    #[error("{}", .0.reason)]
    Access(Box<AccessRefusal>),
    /// A proxy asks with a parameter that forward-auth does not have.
    #[error("forward-auth knows the parameter `team` only, not `{0}`: correct the proxy's configuration")]
    Parameter(String),
    #[error("this address needs `verify_secret`, sent as `Authorization: Bearer …`")]
    VerifySecret,
    #[error("not found")]
    NotFound,
    #[error("method not allowed")]
    Method,
    #[error("{0}")]
    BadRequest(&'static str),
    /// A member of the body or a parameter has an unknown name or a value of another type.
    #[error("`{name}` is unknown or has a value of another type: {expected}")]
    Member { name: String, expected: &'static str },
    #[error(transparent)]
    Username(IdentityError),
    /// A team or a field of a profile cannot be what the body says.
    #[error("{0}")]
    Text(String),
    #[error("this username is taken")]
    Taken,
    /// The change would leave no super-admin who can sign in, and that is not confirmed.
    #[error(
        "this is the last super-admin who can sign in: without one, no one adds or changes super-admins over HTTP or in the console"
    )]
    LastSuperAdmin,
    #[error("the request body is too large")]
    TooLarge,
    #[error("the request has too many header fields")]
    TooManyFields,
    #[error("the request body did not arrive in time")]
    SlowBody,
}

/// Why the administration does not answer a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum AdminError {
    /// Applications share Claimgate's host or cookie.
    #[error(
        "administration over HTTP is off here, because applications share Claimgate's host or cookie: set `admin_url` to a host of its own, or use `claimgate user` and `claimgate session`"
    )]
    Off,
    /// The client is not in `admin_from`.
    #[error(
        "administration is not answered in this network: see `admin_from`; a client at an address of `trusted_proxies` is in none"
    )]
    Network,
    /// Another host than that of `admin_url` was asked.
    #[error("administration is answered at another address: see `admin_url`")]
    Host,
    /// There is no session of the administration, or it has ended.
    #[error("administration needs a session of its own: send your password to /api/v1/admin/session")]
    Session,
}

impl AdminError {
    fn code(self) -> &'static str {
        match self {
            AdminError::Off => "admin.off",
            AdminError::Network => "admin.network",
            AdminError::Host => "admin.host",
            AdminError::Session => "admin.session",
        }
    }
}

/// A request that forward-auth does not admit.
#[derive(Debug)]
pub(crate) struct AccessRefusal {
    pub(crate) reason: AccessReason,
    /// The name of the user.
    pub(crate) user: Option<String>,
    /// The client that the bearer token was issued to.
    pub(crate) token_client: Option<String>,
    /// Whether the request has a bearer token in place of a session.
    pub(crate) is_bearer: bool,
    /// The application, and the number of the rule that does not admit the request; without one if none fits.
    pub(crate) rule: Option<String>,
    /// Host and path of the application, as the proxy reports them.
    pub(crate) application: String,
    /// Whether the answer is the page that a person sees. Other answers repeat the same refusal: those to
    /// the parts of a page, and to a proxy that asks again for the page.
    pub(crate) is_page: bool,
}

/// Why forward-auth does not admit a request.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AccessReason {
    /// The user is in none of the teams that the proxy's query names.
    #[error("the user is in none of the teams that are admitted")]
    Team(MissingTeams),
    /// The rule does not admit the user.
    #[error("the rule admits {0}")]
    Rule(Missing),
    /// The rule demands another authentication.
    #[error(transparent)]
    Authentication(Insufficient),
    #[error("no [[application]] has this host")]
    NoApplication,
    /// No rule of the application with this name.
    #[error("no rule of the application fits the request")]
    NoRule(String),
    /// The application has this name.
    #[error("the request is ambiguous: {1}")]
    Ambiguous(String, Ambiguity),
    #[error("the headers of the user have {0} bytes, more than applications and proxies accept")]
    Headers(usize),
}

impl AccessReason {
    /// Returns the teams that the user can ask for.
    pub(crate) fn teams(&self) -> Option<&MissingTeams> {
        match self {
            AccessReason::Team(teams) => Some(teams),
            AccessReason::Rule(missing) => missing.teams(),
            _ => None,
        }
    }

    /// Returns what a new sign-in is to ask for, if it may change the answer.
    pub(crate) fn authentication(&self) -> Option<&Authentication> {
        match self {
            AccessReason::Authentication(insufficient) => Some(&insufficient.wanted),
            _ => None,
        }
    }

    fn code(&self) -> &'static str {
        match self {
            AccessReason::Authentication(_) => "access.authentication",
            AccessReason::Team(_) | AccessReason::Rule(_) => "request.forbidden",
            AccessReason::NoApplication => "access.no_application",
            AccessReason::NoRule(_) => "access.no_rule",
            AccessReason::Ambiguous(..) => "access.ambiguous",
            AccessReason::Headers(_) => "access.headers",
        }
    }
}

impl Problem {
    /// Returns the stable code of this problem; see `docs/reference/errors.md`.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Problem::Provider(error) => error.code(),
            Problem::Fetch(error) => error.code(),
            Problem::Callback(error) => error.code(),
            Problem::Token(error) => error.code(),
            Problem::IdToken(error) => error.code(),
            Problem::UserInfo(error) => error.code(),
            Problem::SignIn(error) => error.code(),
            Problem::Demand(error) => error.code(),
            Problem::Logout(error) => error.code(),
            Problem::SecurityEvent(error) => error.code(),
            Problem::FrontChannel(error) => error.code(),
            Problem::TooManyLogouts => "frontchannel.too_many",
            Problem::Store(error) => error.code(),
            Problem::LogoutsDropped(_) => "verify.logouts_dropped",
            Problem::Unsure(_) => "store.unsure",
            Problem::Password(error) => error.code(),
            Problem::Busy => "request.busy",
            Problem::TooManyRequests => "request.too_many",
            Problem::WrongPassword => "password.wrong",
            Problem::TooManyPasswords => "password.too_many",
            Problem::TooManyCodes => "callback.too_many",
            Problem::CrossSite => "request.cross_site",
            Problem::SignedOut | Problem::NoToken => "request.signed_out",
            Problem::BearerToken(_) => "access.token",
            Problem::Forbidden => "request.forbidden",
            Problem::Access(refusal) => refusal.reason.code(),
            Problem::Admin(error) => error.code(),
            Problem::AdminClient(_) => "admin.client",
            Problem::Parameter(_) => "request.parameter",
            Problem::VerifySecret => "request.verify_secret",
            Problem::NotFound => "request.not_found",
            Problem::Method => "request.method",
            Problem::BadRequest(_) | Problem::Member { .. } | Problem::Username(_) | Problem::Text(_) => {
                "request.malformed"
            }
            Problem::Taken => "request.taken",
            Problem::LastSuperAdmin => "request.last_super_admin",
            Problem::TooLarge => "request.too_large",
            Problem::TooManyFields => "request.too_many_fields",
            Problem::SlowBody => "request.slow_body",
        }
    }

    /// Returns the code that the client sees. Which check an ID token failed, and which demand its claims do not
    /// meet, is only logged.
    pub(crate) fn shown_code(&self) -> &'static str {
        match self {
            Problem::IdToken(_) => "sign_in.token",
            Problem::Demand(_) => "sign_in.claim",
            _ => self.code(),
        }
    }
}

impl From<Exhausted> for Problem {
    fn from(exhausted: Exhausted) -> Self {
        match exhausted {
            Exhausted::Share => Problem::TooManyRequests,
            Exhausted::All => Problem::Busy,
        }
    }
}

impl From<RevocationError> for Problem {
    fn from(error: RevocationError) -> Self {
        match error {
            RevocationError::LogoutsDropped(error) => Problem::LogoutsDropped(error),
            RevocationError::Unsure(error) => Problem::Unsure(error),
        }
    }
}

impl From<AccountError> for Problem {
    fn from(error: AccountError) -> Self {
        match error {
            AccountError::Forbidden => Problem::Forbidden,
            AccountError::Username(error) => Problem::Username(error),
            AccountError::Text { .. } => Problem::Text(error.to_string()),
            AccountError::Taken => Problem::Taken,
            AccountError::LastSuperAdmin => Problem::LastSuperAdmin,
            AccountError::NotFound => Problem::NotFound,
            AccountError::Store(error) => Problem::Store(error),
            // A reason that is new to this table.
            _ => Problem::Forbidden,
        }
    }
}

impl From<PasswordSignInError> for Problem {
    fn from(error: PasswordSignInError) -> Self {
        match error {
            PasswordSignInError::Store(error) => Problem::Store(error),
            _ => Problem::WrongPassword,
        }
    }
}

impl From<BytesRejection> for Problem {
    /// Admission has read the whole body, so that no extractor fails to.
    fn from(_: BytesRejection) -> Self {
        Problem::SlowBody
    }
}
