//! The normal form of a username, for names from claims and names written by hand alike.

use std::borrow::Cow;

use icu_normalizer::ComposingNormalizerBorrowed;
use icu_properties::props::{DefaultIgnorableCodePoint, GeneralCategory};
use icu_properties::{CodePointMapData, CodePointSetData};

use super::{IdentityError, Normalisation};

/// The longest username, in characters; the upper limit of `username_max`.
pub(super) const MAX_CHARACTERS: usize = 255;

/// Characters of visible categories whose glyph is blank or a placeholder: Braille blank, object replacement,
/// Khitan filler, hieroglyphic blanks, null notehead. Unicode has no property for them.
const BLANK: [char; 6] = ['\u{2800}', '\u{fffc}', '\u{16fe4}', '\u{13441}', '\u{13442}', '\u{1d159}'];

/// Returns a username in the form in which it is kept, compared and shown: canonically composed (NFC), and
/// folded as `normalisation` says. The result is its own normal form.
///
/// ```
/// use claimgate::identity::{Normalisation, normal_username};
///
/// assert_eq!(normal_username("Ada", Normalisation::Default)?, "ada");
/// assert!(normal_username(" ", Normalisation::Default).is_err());
/// # Ok::<(), claimgate::identity::IdentityError>(())
/// ```
///
/// # Errors
/// [`IdentityError::EmptyUsername`], [`IdentityError::UsernameCharacters`] or
/// [`IdentityError::UsernameTooLong`].
pub fn normal_username(text: &str, normalisation: Normalisation) -> Result<String, IdentityError> {
    within(fold(text, normalisation)?, MAX_CHARACTERS)
}

/// Returns the username unless it is longer than `limit` characters.
pub(super) fn within(name: String, limit: usize) -> Result<String, IdentityError> {
    if name.chars().count() > limit { Err(IdentityError::UsernameTooLong { limit }) } else { Ok(name) }
}

/// Returns the normal form of a username of any length.
pub(super) fn fold(text: &str, normalisation: Normalisation) -> Result<String, IdentityError> {
    if let Some(character) = text.chars().find(|character| is_refused(*character)) {
        return Err(IdentityError::UsernameCharacters { character });
    }
    let trimmed = text.trim();
    if trimmed.is_empty() {
        return Err(IdentityError::EmptyUsername);
    }
    match normalisation {
        Normalisation::None => {
            // Other spaces look like U+0020, and only here do they stay what they are.
            let space = trimmed.chars().find(|character| character.is_whitespace() && *character != ' ');
            match space {
                Some(character) => Err(IdentityError::UsernameCharacters { character }),
                None => Ok(composed(trimmed).into_owned()),
            }
        }
        Normalisation::Default => {
            let lower = composed(trimmed).to_lowercase();
            Ok(composed(&lower).chars().map(|c| if c.is_whitespace() { '_' } else { c }).collect())
        }
        Normalisation::LossyAscii => {
            let keeps = |c: &char| c.is_ascii_alphanumeric() || "-@_.".contains(*c);
            let lower = composed(text).to_lowercase();
            Ok(composed(&lower).chars().map(|c| if keeps(&c) { c } else { '_' }).collect())
        }
    }
}

/// Returns a text in Normalization Form C: with it, é is one character however it was encoded.
///
/// ```
/// assert_eq!(claimgate::identity::composed("zoe\u{308}"), "zo\u{eb}");
/// ```
#[must_use]
pub fn composed(text: &str) -> Cow<'_, str> {
    if text.is_ascii() {
        return Cow::Borrowed(text);
    }
    ComposingNormalizerBorrowed::new_nfc().normalize(text)
}

/// Reports whether no username may have a character: it is invisible or blank, reorders the text around it,
/// has no fixed meaning (private use), or is not assigned, so that a later version of Unicode decides how it
/// looks and folds.
fn is_refused(character: char) -> bool {
    if character.is_ascii() {
        return character.is_ascii_control();
    }
    let category = CodePointMapData::<GeneralCategory>::new().get(character);
    matches!(
        category,
        GeneralCategory::Control
            | GeneralCategory::Format
            | GeneralCategory::LineSeparator
            | GeneralCategory::ParagraphSeparator
            | GeneralCategory::PrivateUse
            | GeneralCategory::Unassigned
    ) || CodePointSetData::new::<DefaultIgnorableCodePoint>().contains(character)
        || BLANK.contains(&character)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    // finding: S6, U-e25
    // attack: mapping.invisible, mapping.controls, mapping.bidirectional
    #[test]
    fn a_refusal_names_the_character() {
        for character in "\0\n\u{7f}\u{85}\u{ad}\u{34f}\u{378}\u{600}\u{200b}\u{200d}\u{202e}\u{2028}\u{2060}\
            \u{2065}\u{2800}\u{3164}\u{e000}\u{fdd0}\u{fe0f}\u{ffa0}\u{fff0}\u{fffc}\u{ffff}\u{13441}\u{13442}\
            \u{16fe4}\u{1d159}\u{1d173}\u{1fffe}\u{e0001}\u{e0100}\u{f0000}\u{10ffff}"
            .chars()
        {
            for normalisation in [Normalisation::Default, Normalisation::None, Normalisation::LossyAscii] {
                let refused = Err(IdentityError::UsernameCharacters { character });
                assert_eq!(normal_username(&format!("ada{character}"), normalisation), refused);
                assert_eq!(normal_username(&character.to_string(), normalisation), refused);
            }
        }
        for (name, shown) in [("ada\u{2800}", "U+2800"), ("ada 👩\u{200d}💻", "U+200D")] {
            let refusal = normal_username(name, Normalisation::Default);
            assert!(refusal.is_err_and(|error| error.to_string().contains(shown)), "{shown}");
        }
    }

    // finding: S6, S23, D8
    #[test]
    fn one_name_has_one_normal_form() {
        for (written, kept) in [
            ("éve", "éve"),
            ("e\u{301}ve", "éve"),
            ("E\u{301}VE", "éve"),
            ("BOB", "bob"),
            (" Bob ", "bob"),
            ("\u{212a}im", "kim"),
            ("Jane\u{a0}Doe", "jane_doe"),
            ("İpek", "i\u{307}pek"),
            ("日本", "日本"),
            ("नेहा", "नेहा"),
            ("ada 🦀", "ada_🦀"),
        ] {
            assert_eq!(normal_username(written, Normalisation::Default).as_deref(), Ok(kept), "{written:?}");
        }
        assert_eq!(normal_username("E\u{301}ve ", Normalisation::None).as_deref(), Ok("Éve"));
        assert_eq!(
            normal_username("a\u{a0}b", Normalisation::None),
            Err(IdentityError::UsernameCharacters { character: '\u{a0}' })
        );
        for blank in ["", " ", "\u{3000}"] {
            assert_eq!(normal_username(blank, Normalisation::Default), Err(IdentityError::EmptyUsername));
        }
        let long = "e\u{301}".repeat(256);
        assert_eq!(
            normal_username(&long, Normalisation::Default),
            Err(IdentityError::UsernameTooLong { limit: 255 })
        );
    }

    proptest! {
        #[test]
        fn a_normal_form_is_its_own(text in "\\PC{0,12}|[aAeEkK\u{301}\u{307}\u{308}\u{345}\u{3a3}İıſß ]{0,8}") {
            for normalisation in [Normalisation::Default, Normalisation::None, Normalisation::LossyAscii] {
                if let Ok(name) = normal_username(&text, normalisation) {
                    prop_assert_eq!(normal_username(&name, normalisation), Ok(name));
                }
            }
        }
    }
}
