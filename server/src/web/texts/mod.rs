//! The texts that people read on pages, in each language: one file per language, each a value of [`Texts`], so that a
//! missing text does not compile.
//!
//! `{name}` in a text is a placeholder; every language has the same ones.

mod english;
mod french;
mod german;
mod spanish;

use std::borrow::Cow;
use std::convert::Infallible;

use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::header::ACCEPT_LANGUAGE;
use axum::http::request::Parts;
use maud::{Markup, html};

/// Most bytes of `Accept-Language` that are read. Browsers send fewer than 200.
const MAX_HEADER: usize = 1_000;

/// A language that pages are written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Language {
    English,
    German,
    French,
    Spanish,
}

impl Language {
    /// Every language, the default first.
    const ALL: [Self; 4] = [Self::English, Self::German, Self::French, Self::Spanish];

    /// Returns the tag (RFC 5646).
    pub(crate) fn tag(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::German => "de",
            Self::French => "fr",
            Self::Spanish => "es",
        }
    }

    /// Returns the texts.
    pub(crate) fn texts(self) -> &'static Texts {
        match self {
            Self::English => &english::TEXTS,
            Self::German => &german::TEXTS,
            Self::French => &french::TEXTS,
            Self::Spanish => &spanish::TEXTS,
        }
    }

    /// Returns the language that a client prefers (RFC 9110 §12.5.4): of the ranges that name a language the one with
    /// the greatest weight, and of equal weights the first. `de-AT` names German. English, if none is named.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let mut best = (0, Self::English);
        let values = headers.get_all(ACCEPT_LANGUAGE).iter().filter_map(|value| value.to_str().ok());
        for range in values.filter(|value| value.len() <= MAX_HEADER).flat_map(|value| value.split(',')) {
            let (range, parameters) = range.split_once(';').unwrap_or((range, ""));
            let (Some(language), Some(weight)) = (Self::named(range.trim()), weight(parameters.trim()))
            else {
                continue;
            };
            if weight > best.0 {
                best = (weight, language);
            }
        }
        best.1
    }

    fn named(range: &str) -> Option<Self> {
        let primary = range.split('-').next().unwrap_or_default();
        if primary == "*" {
            return Some(Self::English);
        }
        Self::ALL.into_iter().find(|language| language.tag().eq_ignore_ascii_case(primary))
    }
}

/// Returns the weight of a range in thousandths (RFC 9110 §12.4.2); 1000 without a parameter.
fn weight(parameters: &str) -> Option<u16> {
    if parameters.is_empty() {
        return Some(1_000);
    }
    let (name, value) = parameters.split_once('=')?;
    if !name.trim().eq_ignore_ascii_case("q") {
        return None;
    }
    let (whole, fraction) = value.trim().split_once('.').unwrap_or((value.trim(), ""));
    if fraction.len() > 3 || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let thousandths: u16 = format!("{fraction:0<3}").parse().ok()?;
    match whole {
        "0" => Some(thousandths),
        "1" if thousandths == 0 => Some(1_000),
        _ => None,
    }
}

impl<S: Sync> FromRequestParts<S> for Language {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self::of(&parts.headers))
    }
}

/// Returns a text with values in place of its placeholders.
pub(crate) fn fill(text: &'static str, values: &[(&str, &str)]) -> Cow<'static, str> {
    if values.is_empty() {
        return text.into();
    }
    let mut filled = String::with_capacity(text.len() + 32);
    let mut rest = text;
    while let Some((before, (name, after))) =
        rest.split_once('{').and_then(|(before, after)| Some((before, after.split_once('}')?)))
    {
        filled.push_str(before);
        filled.push_str(values.iter().find(|(known, _)| *known == name).map_or("", |(_, value)| value));
        rest = after;
    }
    filled.push_str(rest);
    filled.into()
}

/// Returns a text with markup in place of its only placeholder.
pub(crate) fn fill_markup(text: &'static str, value: &Markup) -> Markup {
    let (before, after) = text.split_once('{').unwrap_or((text, "}"));
    let (_, after) = after.split_once('}').unwrap_or(("", after));
    html! { (before) (value) (after) }
}

macro_rules! texts {
    ($($(#[$group:meta])* $($name:ident),+;)+) => {
        /// The texts of one language.
        pub(crate) struct Texts {
            $($(pub(crate) $name: &'static str,)+)+
        }

        impl Texts {
            /// Returns each text with its name.
            #[cfg(test)]
            fn all(&self) -> Vec<(&'static str, &'static str)> {
                vec![$($((stringify!($name), self.$name),)+)+]
            }
        }
    };
}

texts! {
    // The sign-in page.
    sign_in, sign_in_with, or_with_password, username, password;
    // The front page and the account.
    signed_in, name, email, teams, no_teams, sign_out, account, your_account, how_signed_in, to_front_page,
    sessions, sessions_explained, session_this, session_begun, session_ends, end_session,
    end_other_sessions, session_ended_here, other_sessions_ended, how_decided, open_provider, open_provider_explained;
    // Durations: `{n}` of a unit.
    minutes, hours, days;
    // Signing out.
    signed_out, signed_out_everywhere, signed_out_here, sign_out_question, sign_out_explained, stay_signed_in,
    signing_out, to_provider_logout;
    // Refusals in front of applications.
    signed_in_as, another_account, session_over, session_over_explained, sign_in_again, sign_in_with_password;
    // Below each problem.
    error, reference;
    // The titles of problems.
    title_refused, title_failed, title_no_verification, title_no_provider, title_busy, title_try_again, title_not_saved,
    title_logout_refused, title_bad_request, title_too_many_requests, title_too_many_attempts, title_not_signed_in,
    title_not_allowed, title_no_access, title_not_found, title_method, title_taken, title_too_large, title_too_slow;
    // What happened and what to do: the server, the provider and the network.
    signatures, signing, provider_unavailable, busy, unsure, not_saved, provider_answer, token_refused, id_token,
    not_stronger, not_asked_again;
    // Sign-ins that are refused.
    demand, not_linked, no_account, inactive, no_username, no_team, no_admins, unsuitable_kind, logged_out,
    other_refusal, ask_administrator;
    // Sign-ins that the provider refused.
    declined, must_ask, provider_problem, provider_refused, provider_says, try_again;
    // Callbacks.
    callback_state, callback_late, callback_used, callback_bad;
    // Passwords.
    wrong_password, too_many_passwords, too_many_codes;
    // Requests.
    logout_token, bearer_token, cross_site, not_signed_in, forbidden, not_found, method, bad_request, taken, too_large,
    too_slow, too_many_requests, administration;
    // Applications.
    for_team, for_teams, for_all_teams, refused_by, not_for_you, for_no_one, ambiguous, too_many_teams, again_needed;
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn of(header: &str) -> Language {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT_LANGUAGE, header.parse().expect("a header"));
        Language::of(&headers)
    }

    #[test]
    fn the_language_is_the_one_that_the_browser_prefers() {
        use Language::{English, French, German, Spanish};
        assert_eq!(Language::of(&HeaderMap::new()), English);
        for (header, language) in [
            ("de-AT,de;q=0.9,en;q=0.8", German),
            ("FR", French),
            ("es-419", Spanish),
            ("it, es;q=0.3, fr;q=0.7", French),
            ("en;q=0.5, de;q=0.5", English),
            ("en;q=0.50, de;q=0.501", German),
            ("de;q=0, fr;q=0.001", French),
            ("de;q=0", English),
            ("ja, *;q=0.5, de;q=0.4", English),
            ("ja, de;q=0.5, *;q=0.4", German),
            ("de;q=2, es;q=1.000", Spanish),
            ("de;q=1.1, fr;q=0.1", French),
            ("de;q=, es;level=1, french, fr ; q=0.2", French),
            ("", English),
            (&format!("{}de", "x,".repeat(600)), English),
        ] {
            assert_eq!(of(header), language, "{header}");
        }
    }

    #[test]
    fn every_language_says_the_same_things() {
        let placeholders = |text: &str| -> BTreeSet<String> {
            let parts = text.split('{').skip(1);
            parts.filter_map(|part| part.split_once('}')).map(|(name, _)| name.to_owned()).collect()
        };
        // Words that are the same in two languages.
        let alike = ["error", "minutes", "hours"];
        let english = Language::English.texts().all();
        for language in Language::ALL {
            for ((name, text), (_, original)) in language.texts().all().into_iter().zip(&english) {
                assert!(!text.is_empty() && text.trim() == text, "{language:?} {name}");
                assert_eq!(placeholders(text), placeholders(original), "{language:?} {name}");
                let translated = language == Language::English || text != *original;
                assert!(translated || alike.contains(&name), "{language:?} {name}");
                let ends = |text: &str| text.ends_with(['.', '?']);
                assert_eq!(ends(text), ends(original), "{language:?} {name}");
            }
        }
    }

    #[test]
    fn placeholders_are_filled_once() {
        assert_eq!(fill("{a} and {b}", &[("a", "{b}"), ("b", "2")]), "{b} and 2");
        assert_eq!(fill("no placeholder", &[]), "no placeholder");
        let bold = html! { b { "<ada>" } };
        assert_eq!(fill_markup("You: {user}.", &bold).into_string(), "You: <b>&lt;ada&gt;</b>.");
    }
}
