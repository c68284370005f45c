//! A secret that was typed into a form, between its pages: sealed for the administrator who typed it, and never shown.

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::session::Console;
use crate::system;
use crate::web::administration::LIFETIME;
use claimgate::oidc::client::Secret;

/// The purpose that the value is sealed for.
const PURPOSE: &str = "secret of a provider";

/// What is sealed.
#[derive(Serialize, Deserialize)]
struct Kept {
    /// The sign-in session of the administrator.
    session: [u8; 16],
    /// What the secret is for: it is sent to no other provider.
    subject: String,
    /// When it can be opened no more, in seconds since 1970.
    ends: i64,
    secret: Zeroizing<String>,
}

/// Seals a secret for a field of the next page.
pub(crate) fn seal(console: &Console, subject: &str, secret: &Secret) -> String {
    let kept = Kept {
        session: console.admin.session.0,
        subject: subject.to_owned(),
        ends: system::now().saturating_add(LIFETIME.as_secs()).0,
        secret: Zeroizing::new(secret.expose().to_owned()),
    };
    let text = Zeroizing::new(serde_json::to_string(&kept).expect("texts and numbers are JSON"));
    console.app.store.key().seal(PURPOSE, &text)
}

/// Opens a secret that this administrator typed for a subject within the lifetime of a session of the administration; `None` for
/// any other value.
pub(crate) fn open(console: &Console, subject: &str, sealed: &str) -> Option<Secret> {
    let text = console.app.store.key().open(PURPOSE, sealed)?;
    let kept: Kept = serde_json::from_str(&text).ok()?;
    let fits = kept.session == console.admin.session.0 && kept.subject == subject;
    (fits && system::now().0 < kept.ends).then(|| Secret::new(kept.secret.as_str().to_owned()))
}
