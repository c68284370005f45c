//! The claims that policies compare, located in a payload's text by one scan.

use std::ops::Range;

use serde_json::Value;

use super::NumericDate;
use crate::json::{Scanned, scan_object};
use crate::limits::Limits;

/// The member of `events` that makes a token a logout token (Back-Channel Logout §2.4).
pub const BACKCHANNEL_LOGOUT_EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";

/// A claim that policies compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Known {
    Issuer,
    Subject,
    TokenId,
    AuthorizedParty,
    Nonce,
    SessionId,
    Audience,
    ExpiresAt,
    NotBefore,
    IssuedAt,
}

/// The `events` of nearly all logout tokens (Back-Channel Logout §2.4).
const PLAIN_LOGOUT: &str = r#"{"http://schemas.openid.net/event/backchannel-logout":{}}"#;

/// Number of string-valued variants of [`Known`]. They come first: their discriminants index
/// [`Registered::texts`].
const TEXTS: usize = 6;

impl Known {
    const ALL: [Known; 10] = [
        Known::Issuer,
        Known::Subject,
        Known::TokenId,
        Known::AuthorizedParty,
        Known::Nonce,
        Known::SessionId,
        Known::Audience,
        Known::ExpiresAt,
        Known::NotBefore,
        Known::IssuedAt,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Known::Issuer => "iss",
            Known::Subject => "sub",
            Known::TokenId => "jti",
            Known::AuthorizedParty => "azp",
            Known::Nonce => "nonce",
            Known::SessionId => "sid",
            Known::Audience => "aud",
            Known::ExpiresAt => "exp",
            Known::NotBefore => "nbf",
            Known::IssuedAt => "iat",
        }
    }

    pub(super) fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.name() == name)
    }
}

/// The registered claims of a scanned payload: dates by value, strings by their place in the text.
#[derive(Clone)]
pub(super) struct Registered {
    texts: [Option<Span>; TEXTS],
    audience: Audience,
    dates: Dates,
    /// Whether the logout event in `events` is an object; `None` without a logout event.
    logout_event: Option<bool>,
    /// Whether `events` is an object.
    has_events: bool,
}

/// The dates of a claims set.
#[derive(Clone, Copy, Default)]
pub(super) struct Dates {
    pub(super) expires_at: Option<NumericDate>,
    pub(super) not_before: Option<NumericDate>,
    pub(super) issued_at: Option<NumericDate>,
}

/// The place of `aud` in a payload.
#[derive(Clone, Copy)]
enum Audience {
    Absent,
    /// The contents of a string that is not empty.
    One(Span),
    /// An array of one or more strings, none empty.
    List(Span),
}

/// A byte range of the payload: start and end.
#[derive(Clone, Copy)]
struct Span(u32, u32);

impl Span {
    fn of(part: &str, whole: &str) -> Option<Self> {
        let start = part.as_ptr().addr() - whole.as_ptr().addr();
        Some(Self(u32::try_from(start).ok()?, u32::try_from(start + part.len()).ok()?))
    }

    fn range(self) -> Range<usize> {
        self.0 as usize..self.1 as usize
    }
}

/// Whether a claim is present, and in what form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Presence<'c> {
    Absent,
    /// `null`, which does not satisfy a policy that requires the claim.
    Null,
    Text(&'c str),
    /// An array or object without elements.
    Empty,
    Other,
}

impl<'c> Presence<'c> {
    pub(super) fn of(value: Option<&'c Value>) -> Self {
        match value {
            None => Presence::Absent,
            Some(Value::Null) => Presence::Null,
            Some(Value::String(text)) => Presence::Text(text),
            Some(Value::Array(elements)) if elements.is_empty() => Presence::Empty,
            Some(Value::Object(members)) if members.is_empty() => Presence::Empty,
            Some(_) => Presence::Other,
        }
    }
}

impl Registered {
    /// Scans a payload. Returns `None` if the scanner rejects the text, or if one of the claims is
    /// not of its type: the payload must then be parsed in full.
    pub(super) fn scan(text: &str, limits: &Limits) -> Option<Self> {
        let mut registered = Self {
            texts: [None; TEXTS],
            audience: Audience::Absent,
            dates: Dates::default(),
            logout_event: None,
            has_events: false,
        };
        let mut typed = true;
        scan_object(text, limits, |name, value| {
            typed &= registered.add(name, value, text, limits).is_some();
        })?;
        typed.then_some(registered)
    }

    /// Records a member of `payload`. Returns `None` if the value is not of the claim's type.
    fn add(&mut self, name: &str, value: Scanned<'_>, payload: &str, limits: &Limits) -> Option<()> {
        match (name, value) {
            ("iss", value) => self.add_text(Known::Issuer, value, payload),
            ("sub", value) => self.add_text(Known::Subject, value, payload),
            ("jti", value) => self.add_text(Known::TokenId, value, payload),
            ("azp", value) => self.add_text(Known::AuthorizedParty, value, payload),
            ("nonce", value) => self.add_text(Known::Nonce, value, payload),
            ("sid", value) => self.add_text(Known::SessionId, value, payload),
            ("exp", value) => set_date(&mut self.dates.expires_at, value),
            ("nbf", value) => set_date(&mut self.dates.not_before, value),
            ("iat", value) => set_date(&mut self.dates.issued_at, value),
            ("aud", Scanned::Text(name)) if !name.is_empty() => {
                self.audience = Audience::One(Span::of(name, payload)?);
                Some(())
            }
            ("aud", Scanned::Strings(names)) => {
                self.audience = Audience::List(Span::of(names, payload)?);
                Some(())
            }
            ("events", Scanned::Object(events)) => self.add_events(events, limits),
            ("aud" | "events", _) => None,
            _ => Some(()),
        }
    }

    fn add_events(&mut self, events: &str, limits: &Limits) -> Option<()> {
        self.has_events = true;
        if events == PLAIN_LOGOUT {
            self.logout_event = Some(true);
            return Some(());
        }
        // A second scan: the first reports the members of the payload alone. It is rare, since nearly
        // all logout tokens have `PLAIN_LOGOUT`.
        scan_object(events, limits, |name, event| {
            if name == BACKCHANNEL_LOGOUT_EVENT {
                self.logout_event = Some(matches!(event, Scanned::Object(_)));
            }
        })
    }

    fn add_text(&mut self, known: Known, value: Scanned<'_>, payload: &str) -> Option<()> {
        let Scanned::Text(text) = value else { return None };
        self.texts[known as usize] = Some(Span::of(text, payload)?);
        Some(())
    }

    /// Reports whether a claim of `payload`, the scanned text, is present, and in what form.
    pub(super) fn presence<'c>(&self, known: Known, payload: &'c str) -> Presence<'c> {
        let is_present = match known {
            Known::Audience => match self.audience {
                Audience::Absent => false,
                Audience::One(span) => return Presence::Text(&payload[span.range()]),
                Audience::List(_) => true,
            },
            Known::ExpiresAt => self.dates.expires_at.is_some(),
            Known::NotBefore => self.dates.not_before.is_some(),
            Known::IssuedAt => self.dates.issued_at.is_some(),
            text => {
                let span = self.texts[text as usize];
                return span.map_or(Presence::Absent, |span| Presence::Text(&payload[span.range()]));
            }
        };
        if is_present { Presence::Other } else { Presence::Absent }
    }

    pub(super) fn dates(&self) -> &Dates {
        &self.dates
    }

    /// Reports whether the logout event is an object; `None` without a logout event.
    pub(super) fn logout_event(&self) -> Option<bool> {
        self.logout_event
    }

    /// Reports whether `events` is an object.
    pub(super) fn has_events(&self) -> bool {
        self.has_events
    }

    /// Returns the names in the `aud` of `payload`, the scanned text.
    pub(super) fn audience<'c>(&self, payload: &'c str) -> impl Iterator<Item = &'c str> + use<'c> {
        let (one, list) = match self.audience {
            Audience::Absent => (None, ""),
            Audience::One(span) => (Some(&payload[span.range()]), ""),
            Audience::List(span) => (None, &payload[span.range()]),
        };
        // The text has no escapes: an array of strings has its strings at the odd places between
        // quotation marks.
        one.into_iter().chain(list.split('"').skip(1).step_by(2))
    }
}

fn set_date(date: &mut Option<NumericDate>, value: Scanned<'_>) -> Option<()> {
    let Scanned::Integer(seconds) = value else { return None };
    *date = Some(NumericDate::from_seconds(seconds)?);
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_plain_logout_has_the_one_event() {
        assert_eq!(PLAIN_LOGOUT, format!("{{\"{BACKCHANNEL_LOGOUT_EVENT}\":{{}}}}"));
    }
}
