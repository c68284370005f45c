//! How names are searched for, in both stores: whatever the case, and however Unicode composes their characters.

use std::collections::HashSet;

use rusqlite::Connection;
use rusqlite::functions::FunctionFlags;

use claimgate::identity::composed;

/// The last character that is another one in lower case, and some beyond it.
const LAST: char = '\u{1ffff}';

/// Returns a text in the form in which names are compared: composed (NFC), each character in lower case.
pub(crate) fn folded(text: &str) -> String {
    composed(text).chars().map(fold).collect()
}

/// Returns a character in lower case; itself where that is several characters. The two small sigmas are one.
fn fold(character: char) -> char {
    let mut lower = character.to_lowercase();
    match (lower.next(), lower.next()) {
        (Some('ς'), None) => 'σ',
        (Some(lower), None) => lower,
        _ => character,
    }
}

/// Makes [`folded`] known to SQL.
pub(super) fn define(connection: &Connection) -> rusqlite::Result<()> {
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC;
    connection.create_scalar_function("folded", 1, flags, |context| {
        // A name that is no text is reported where its row is read.
        Ok(context.get_raw(0).as_str().map_or_else(|_| String::new(), folded))
    })
}

/// A text to look for in PostgreSQL, whose own idea of case depends on the locale of the database. Usernames are
/// composed there: `translate(username, from, to)` has the text in it if the folded username has.
pub(super) struct Sought {
    pub(super) text: String,
    pub(super) from: String,
    pub(super) to: String,
}

impl Sought {
    pub(super) fn of(text: &str) -> Self {
        let text = folded(text);
        let wanted: HashSet<char> = text.chars().collect();
        let is_sought = |character: char| fold(character) != character && wanted.contains(&fold(character));
        let from: String = ('\0'..=LAST).filter(|character| is_sought(*character)).collect();
        let to = from.chars().map(fold).collect();
        Self { text, from, to }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_folded_by_character() {
        for (written, folded_to) in [
            ("Ada", "ada"),
            ("RENE\u{301}", "ren\u{e9}"),
            ("ΟΔΥΣΣΕΥΣ", "οδυσσευσ"),
            ("οδυσσευς", "οδυσσευσ"),
            ("STRASSE ẞ", "strasse ß"),
            ("İ", "İ"),
        ] {
            assert_eq!(folded(written), folded_to, "{written}");
        }
    }

    /// The characters that PostgreSQL translates are those that SQLite's function folds.
    #[test]
    fn each_character_is_translated_as_it_is_folded() {
        let all: String = ('\0'..=char::MAX).map(fold).collect();
        let Sought { from, to, .. } = Sought::of(&all);
        assert_eq!(from.chars().map(fold).collect::<String>(), to);
        let beyond = ('\u{20000}'..=char::MAX).find(|character| fold(*character) != *character);
        assert_eq!(beyond, None, "LAST is the last");
        let Sought { from, to, text } = Sought::of("Ñk");
        assert_eq!((&*text, &*from, &*to), ("ñk", "KÑ\u{212a}", "kñk"));
    }
}
