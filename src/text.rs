//! Characters that are unsafe to display: they control a terminal, are invisible, or reorder the text around
//! them.
//!
//! ```
//! use claimgate::text;
//!
//! assert!(text::is_unsafe('\u{202e}'));
//! assert!(!text::for_display("a\u{202e}b\n").contains(text::is_unsafe));
//! ```

/// Reports whether a character is unsafe to display: a control character, a line or paragraph separator, an
/// invisible format character or a bidirectional control.
#[must_use]
pub fn is_unsafe(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// The longest name of a member or claim that an error shows, in characters.
const NAME_SHOWN: usize = 64;

/// Returns a name of a remote party for display on one line: cut, unsafe characters escaped.
#[must_use]
pub(crate) fn name(text: &str) -> String {
    shortened(text, NAME_SHOWN)
}

/// Returns the first characters of a text for display on one line, unsafe ones escaped, and `…` if there are more.
#[must_use]
pub(crate) fn shortened(text: &str, characters: usize) -> String {
    let mut shown = String::new();
    for character in text.chars().take(characters) {
        if is_unsafe(character) {
            shown.extend(character.escape_unicode());
        } else {
            shown.push(character);
        }
    }
    if text.chars().nth(characters).is_some() {
        shown.push('…');
    }
    shown
}

/// The longest text of a remote party that is displayed, in characters.
#[cfg(any(feature = "oidc", feature = "identity"))]
const SHOWN: usize = 300;

/// Returns a remote party's text for display: truncated, unsafe characters removed.
#[cfg(any(feature = "oidc", feature = "identity"))]
#[must_use]
pub fn for_display(text: &str) -> String {
    if text.len() <= SHOWN && text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return text.to_owned();
    }
    text.chars().filter(|character| !is_unsafe(*character)).take(SHOWN).collect()
}

/// Implements `Debug` for a type with secrets: it shows the named fields alone.
macro_rules! redacted_debug {
    ($type:ident $(, $field:ident)*) => {
        impl std::fmt::Debug for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_struct(stringify!($type))
                    $(.field(stringify!($field), &self.$field))*
                    .finish_non_exhaustive()
            }
        }
    };
}

pub(crate) use redacted_debug;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_that_steer_hide_or_reorder_are_unsafe() {
        for character in "\0\t\n\r\u{1b}\u{7f}\u{80}\u{9f}\u{ad}\u{61c}\u{180e}\u{200b}\u{200d}\u{200e}\
            \u{2028}\u{2029}\u{202a}\u{202e}\u{2060}\u{2066}\u{2069}\u{206f}\u{feff}\u{fff9}\u{e0001}\u{e007f}"
            .chars()
        {
            assert!(is_unsafe(character), "{character:?}");
        }
        for character in " azÀñ日本語🦀\u{a0}\u{300}\u{fe0f}".chars() {
            assert!(!is_unsafe(character), "{character:?}");
        }
    }

    #[test]
    fn a_name_is_cut_and_escaped() {
        assert_eq!(name("a\u{1b}b\n"), r"a\u{1b}b\u{a}");
        assert_eq!(name(&"é".repeat(64)), "é".repeat(64));
        assert_eq!(name(&"é".repeat(65)), "é".repeat(64) + "…");
    }

    #[cfg(any(feature = "oidc", feature = "identity"))]
    #[test]
    fn a_remote_text_is_cut_and_cleaned() {
        assert_eq!(for_display("a\u{1b}[31m\u{202e}b"), "a[31mb");
        assert_eq!(for_display(&"x".repeat(1000)).len(), SHOWN);
    }
}
