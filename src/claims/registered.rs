//! The claims that policies are about, read from an ordinary payload in one pass.

use std::ops::Range;

use serde_json::Value;

use super::{Claims, NumericDate};
use crate::json::{Scanned, scan_object};
use crate::limits::Limits;

/// The member of `events` that makes a token a logout token (Back-Channel Logout §2.4).
pub const BACKCHANNEL_LOGOUT_EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";

/// The claims that a policy compares.
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

/// `events` as nearly all logout tokens have it (Back-Channel Logout §2.4).
const PLAIN_LOGOUT: &str = r#"{"http://schemas.openid.net/event/backchannel-logout":{}}"#;

/// How many of them are strings; those come first.
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

/// Where in the payload each of them stands.
#[derive(Clone)]
pub(super) struct Registered {
    texts: [Option<Span>; TEXTS],
    audience: Option<Span>,
    /// Whether `events` has a logout event, and whether that is an object.
    logout_event: Option<bool>,
}

/// A part of the payload, from one byte up to another.
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

/// What there is of a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Presence<'c> {
    Absent,
    /// `null`, which is as good as absent where a claim is required.
    Null,
    Text(&'c str),
    /// An array or object without contents.
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
    /// Reads a payload, with its `exp`, `nbf` and `iat`. `None` where it is not ordinary: where the
    /// scanner says so, or one of these claims is not of the type it should be.
    pub(super) fn scan(text: &str, limits: &Limits) -> Option<(Self, [Option<NumericDate>; 3])> {
        let mut found = Self { texts: [None; TEXTS], audience: None, logout_event: None };
        let mut dates = [None; 3];
        let mut ordinary = true;
        scan_object(text, limits, |name, value| {
            ordinary &= found.take(name, value, text, limits, &mut dates).is_some();
        })?;
        ordinary.then_some((found, dates))
    }

    fn take(
        &mut self,
        name: &str,
        value: Scanned<'_>,
        whole: &str,
        limits: &Limits,
        dates: &mut [Option<NumericDate>; 3],
    ) -> Option<()> {
        match (name, value) {
            ("iss", value) => self.take_text(Known::Issuer, value, whole),
            ("sub", value) => self.take_text(Known::Subject, value, whole),
            ("jti", value) => self.take_text(Known::TokenId, value, whole),
            ("azp", value) => self.take_text(Known::AuthorizedParty, value, whole),
            ("nonce", value) => self.take_text(Known::Nonce, value, whole),
            ("sid", value) => self.take_text(Known::SessionId, value, whole),
            ("exp", value) => take_date(&mut dates[0], value),
            ("nbf", value) => take_date(&mut dates[1], value),
            ("iat", value) => take_date(&mut dates[2], value),
            ("aud", Scanned::Text(one)) if !one.is_empty() => {
                self.audience = Some(Span::of(one, whole)?);
                Some(())
            }
            ("aud", Scanned::Array(list)) if is_list_of_names(list) => {
                self.audience = Some(Span::of(list, whole)?);
                Some(())
            }
            ("events", Scanned::Object(PLAIN_LOGOUT)) => {
                self.logout_event = Some(true);
                Some(())
            }
            ("events", Scanned::Object(events)) => scan_object(events, limits, |name, event| {
                if name == BACKCHANNEL_LOGOUT_EVENT {
                    self.logout_event = Some(matches!(event, Scanned::Object(_)));
                }
            }),
            ("aud" | "events", _) => None,
            _ => Some(()),
        }
    }

    fn take_text(&mut self, known: Known, value: Scanned<'_>, whole: &str) -> Option<()> {
        let Scanned::Text(text) = value else { return None };
        self.texts[known as usize] = Some(Span::of(text, whole)?);
        Some(())
    }

    /// What there is of a claim.
    pub(super) fn presence<'c>(&self, known: Known, claims: &Claims, whole: &'c str) -> Presence<'c> {
        let is_there = match known {
            Known::Audience => self.audience.is_some(),
            Known::ExpiresAt => claims.expires_at.is_some(),
            Known::NotBefore => claims.not_before.is_some(),
            Known::IssuedAt => claims.issued_at.is_some(),
            text => {
                let span = self.texts[text as usize];
                return span.map_or(Presence::Absent, |span| Presence::Text(&whole[span.range()]));
            }
        };
        if is_there { Presence::Other } else { Presence::Absent }
    }

    pub(super) fn logout_event(&self) -> Option<bool> {
        self.logout_event
    }

    /// The audience: one name, or the names of the list.
    pub(super) fn audience<'c>(&self, whole: &'c str) -> impl Iterator<Item = &'c str> + use<'c> {
        let span = self.audience.map_or(0..0, Span::range);
        let is_one = span.start > 0 && whole.as_bytes()[span.start - 1] == b'"';
        let text = &whole[span];
        // A list's names lie between its quotation marks: there are no escapes.
        let (skip, step) = if is_one { (0, 1) } else { (1, 2) };
        text.split(move |character| !is_one && character == '"').skip(skip).step_by(step)
    }
}

fn take_date(date: &mut Option<NumericDate>, value: Scanned<'_>) -> Option<()> {
    let Scanned::Integer(seconds) = value else { return None };
    *date = Some(NumericDate::from_seconds(seconds)?);
    Some(())
}

/// Whether a scanned array holds names alone, at least one and none empty.
fn is_list_of_names(list: &str) -> bool {
    let mut outside = true;
    let mut names = 0;
    for part in list.split('"') {
        let fine = if outside {
            part.bytes().all(|byte| matches!(byte, b' ' | b',' | b'[' | b']'))
        } else {
            names += 1;
            !part.is_empty()
        };
        // A bracket after the first would be a list within the list.
        if !fine || (outside && names > 0 && part.contains('[')) {
            return false;
        }
        outside = !outside;
    }
    names > 0 && !list[1..].trim_start_matches(' ').starts_with('[')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_plain_logout_has_the_one_event() {
        assert_eq!(PLAIN_LOGOUT, format!("{{\"{BACKCHANNEL_LOGOUT_EVENT}\":{{}}}}"));
    }
}
