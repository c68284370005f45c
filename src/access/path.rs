//! The path of a request, in every way that applications read it.
//!
//! RFC 3986 §6.2 says which paths are equivalent, and applications go further or less far: some decode an encoded
//! slash, drop the parameters of a segment (`;…`), merge slashes, or ignore case, accents and the dots at the end of a
//! name; others compare what is encoded as it is written. Each of these is one choice, and a reading makes each of them
//! or not. Most paths have one or two readings.

use icu_normalizer::DecomposingNormalizerBorrowed;

/// The longest path that is read, in bytes; of a request and of the headers that override its path together. Each reading
/// costs as much as the path is long.
pub(super) const MAX_PATH: usize = 4_096;
/// Most segments of a path that is read.
const MAX_SEGMENTS: usize = 256;
/// Most choices that may change one path: 64 readings, or 32 with two formats each, and eight more of what is encoded
/// without need.
const MAX_CHOICES: u32 = 6;

/// Why a path cannot be judged: no browser sends it, and applications read it in ways that are not foreseeable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PathProblem {
    /// It does not begin with a slash.
    #[error("does not begin with a slash")]
    Form,
    /// It begins with two slashes, or does when parameters are removed: applications that parse it as an address take
    /// its first segment for a host (RFC 3986 §4.2).
    #[error("begins with two slashes, behind which an application may read a host")]
    Host,
    /// It is longer than 4,096 bytes, or has more than 256 segments.
    #[error("is longer than 4,096 bytes, or has more than 256 segments")]
    Long,
    /// It holds a space, a control character or a byte beyond ASCII, or one of these encoded, or a fragment.
    #[error("holds a character that a path cannot have")]
    Character,
    /// It holds a backslash, an encoded one, or a character that is compatible with one.
    #[error("holds a backslash")]
    Backslash,
    /// It can be read in more than 104 ways.
    #[error("can be read in too many ways")]
    Readings,
    /// A `%` is not followed by two hexadecimal digits, or what is encoded is no UTF-8.
    #[error("is not percent-encoded as UTF-8")]
    Encoding,
    /// What is encoded is encoded again.
    #[error("is percent-encoded twice")]
    DoubleEncoding,
    /// A segment consists of dots.
    #[error("has a segment of dots, such as `..`")]
    Dots,
}

/// What a reading does with the path, in this order. Every combination that may change the path is a reading.
#[derive(Clone, Copy, Debug)]
struct Choices(u8);

impl Choices {
    /// Ends the path at `%3F` and `%23`.
    const END: u8 = 1;
    /// Removes `;` and what follows it from each segment, before `%2F` is decoded.
    const EARLY: u8 = 2;
    /// Decodes `%2F`, `%3B`, `%25`, `%3F` and `%23`.
    const DECODE: u8 = 4;
    /// Removes `;` and what follows it from each segment.
    const PARAMETERS: u8 = 8;
    /// Ignores what [`fold`] removes, and dots, spaces and the name of a stream at the end of a segment.
    const FOLD: u8 = 16;
    /// Removes empty segments.
    const MERGE: u8 = 32;
    /// Takes [`CURRENCIES`] for backslashes, after `%2F` is decoded and before parameters are removed.
    const BACKSLASHES: u8 = 64;
    /// The number of combinations of those above.
    const COUNT: u8 = 128;
    /// Removes a format from the last segment, as [`Reading::without_formats`] does.
    const FORMAT: u8 = 128;
    /// Those of an application that compares names as they are written.
    const LITERAL: u8 = Self::PARAMETERS | Self::FOLD | Self::MERGE;

    fn has(self, choice: u8) -> bool {
        self.0 & choice != 0
    }
}

/// The characters that a reading decodes or does not, each with the control character that stands for its encoded
/// form. A path has no control characters of its own.
const ENCODED: [(u8, char); 5] =
    [(b'/', '\u{1}'), (b';', '\u{2}'), (b'%', PERCENT), (b'?', '\u{4}'), (b'#', '\u{5}')];

/// Stands for an encoded `%`.
const PERCENT: char = '\u{3}';

/// The yen and the won sign, which Windows converts to a backslash where the code page is Japanese or Korean.
const CURRENCIES: [char; 2] = ['\u{a5}', '\u{20a9}'];

/// The dot, and those that Windows converts to one in single code pages.
const DOTS: [char; 4] = ['.', '\u{b7}', '\u{2022}', '\u{2026}'];

/// Stands before the type of a stream.
const STREAM: &str = ":$";

/// Stands before the two digits of a letter, a digit, or one of `-._~` that is encoded, though nothing requires it, in
/// the readings of applications that compare names as they are written.
const WRITTEN: char = '\u{6}';

/// One reading of a path. `/admin` and `/admin/` are one path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reading {
    /// The segments, each behind a slash.
    text: String,
    /// Whether the segments are folded.
    pub(super) is_folded: bool,
    /// Whether a format was removed from the last segment.
    pub(super) is_without_format: bool,
}

impl Reading {
    pub(super) fn segments(&self) -> impl Iterator<Item = &str> {
        self.text.split('/').skip(1)
    }

    /// Returns the readings without a format: the last segment ends before its last dot (`/users.json`) or before its
    /// first (`/users.tar.gz`), a dot at its beginning aside.
    fn without_formats(&self) -> impl Iterator<Item = Self> + use<> {
        let name = self.text.rfind('/').map_or(0, |slash| slash + 1);
        let behind = self.text[name..].char_indices().nth(1).map_or(self.text.len(), |(at, _)| name + at);
        let [last, first] = [self.text[behind..].rfind('.'), self.text[behind..].find('.')];
        let until = |dot: usize| Self {
            text: self.text[..behind + dot].to_owned(),
            is_folded: self.is_folded,
            is_without_format: true,
        };
        let [last, first] = [last.map(until), first.filter(|_| first != last).map(until)];
        last.into_iter().chain(first)
    }
}

/// Returns the readings of a request's path, with or without a query: at most 104, the plain one first.
///
/// # Errors
/// A [`PathProblem`] of a path that no browser sends.
pub(super) fn readings(path_and_query: &str) -> Result<Vec<Reading>, PathProblem> {
    let path = path_and_query.split('?').next().unwrap_or_default();
    if !path.starts_with('/') {
        return Err(PathProblem::Form);
    }
    if path.len() > MAX_PATH {
        return Err(PathProblem::Long);
    }
    match only_reading(path) {
        Some(reading) => Ok(vec![reading]),
        None => all_readings(path),
    }
}

/// Returns the reading of a path that every application reads in one way, without looking further: of small letters, digits,
/// `-`, `_`, `~` and single slashes.
fn only_reading(path: &str) -> Option<Reading> {
    let mut slashes = 0;
    let mut behind_slash = false;
    for byte in path.bytes() {
        match byte {
            b'/' if behind_slash => return None,
            b'/' => slashes += 1,
            b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'~' => {}
            _ => return None,
        }
        behind_slash = byte == b'/';
    }
    let text = path.strip_suffix('/').unwrap_or(path).to_owned();
    (slashes <= MAX_SEGMENTS).then_some(Reading { text, is_folded: false, is_without_format: false })
}

fn all_readings(path: &str) -> Result<Vec<Reading>, PathProblem> {
    let decoded = decode(path, false)?;
    let written = decode(path, true)?;
    // Each of these begins a segment in some reading.
    if decoded.matches(['/', '\u{1}']).count() + decoded.matches(CURRENCIES).count() > MAX_SEGMENTS {
        return Err(PathProblem::Long);
    }
    let changes = changes(&decoded);
    if changes.count_ones() > MAX_CHOICES {
        return Err(PathProblem::Readings);
    }
    let of = |changes: u8| (0..Choices::COUNT).filter(move |choices| choices & !changes == 0);
    let mut readings = Vec::new();
    for choices in of(changes) {
        let reading = read(&decoded, Choices(choices))?;
        let formats = reading.without_formats();
        readings.push(reading);
        readings.extend(formats);
    }
    if written != decoded {
        for choices in of(changes & Choices::LITERAL) {
            readings.push(read(&written, Choices(choices))?);
        }
    }
    Ok(readings)
}

/// Parses the path of a pattern. Returns its plain reading and the folded one.
///
/// # Errors
/// A [`PathProblem`]; `None` for a path that has several readings.
pub(super) fn of_pattern(path: &str) -> Result<Option<(Reading, Reading)>, PathProblem> {
    let path = decode(path, false)?;
    let readings = (read(&path, Choices(0))?, read(&path, Choices(Choices::FOLD))?);
    Ok((changes(&path) & !(Choices::FOLD | Choices::FORMAT) == 0).then_some(readings))
}

/// Returns the choices that may change a decoded path.
fn changes(path: &str) -> u8 {
    let is_mark = |character: char| ENCODED.iter().any(|(_, mark)| *mark == character);
    let ends_name = |character: char| {
        matches!(character, '/' | ';') || is_mark(character) || CURRENCIES.contains(&character)
    };
    let folds = |character: char| character.is_ascii_uppercase() || character == '+' || !character.is_ascii();
    [
        (Choices::END, path.contains(['\u{4}', '\u{5}'])),
        (Choices::EARLY, path.contains(';') && (path.contains('\u{1}') || path.contains(CURRENCIES))),
        (Choices::DECODE, path.contains(is_mark)),
        (Choices::PARAMETERS, path.contains([';', '\u{2}'])),
        (
            Choices::FOLD,
            path.contains(folds)
                || path.contains(STREAM)
                || path.split(ends_name).any(|name| name.ends_with(['.', ' '])),
        ),
        (
            Choices::MERGE,
            path.contains("//") || path.contains([';', '\u{1}', '\u{2}']) || path.contains(CURRENCIES),
        ),
        (Choices::BACKSLASHES, path.contains(CURRENCIES)),
        (Choices::FORMAT, path.contains('.') || (!path.is_ascii() && fold(path).contains('.'))),
    ]
    .into_iter()
    .filter(|(_, is_changed)| *is_changed)
    .fold(0, |changes, (choice, _)| changes | choice)
}

fn read(path: &str, choices: Choices) -> Result<Reading, PathProblem> {
    let end = path.find(['\u{4}', '\u{5}']).filter(|_| choices.has(Choices::END)).unwrap_or(path.len());
    let mut path = path[..end].to_owned();
    if choices.has(Choices::EARLY) {
        path = without_parameters(&path);
    }
    if choices.has(Choices::DECODE) {
        for (character, mark) in ENCODED {
            path = path.replace(mark, char::from(character).encode_utf8(&mut [0; 4]));
        }
    }
    if choices.has(Choices::BACKSLASHES) {
        path = path.replace(CURRENCIES, "\\");
    }
    if choices.has(Choices::PARAMETERS) {
        path = without_parameters(&path);
    }
    if path.starts_with("//") {
        return Err(PathProblem::Host);
    }
    let is_folded = choices.has(Choices::FOLD);
    if is_folded {
        path = fold(&path);
    }
    let mut text = String::with_capacity(path.len());
    for segment in path.split(['/', '\\']).skip(1) {
        let is_dots = |character: char| character == ' ' || DOTS.contains(&character);
        if segment.contains(DOTS) && segment.chars().all(is_dots) {
            return Err(PathProblem::Dots);
        }
        let segment = match is_folded {
            true => without_stream(segment).trim_end_matches(['.', ' ']),
            false => segment,
        };
        if !(segment.is_empty() && choices.has(Choices::MERGE)) {
            text.push('/');
            text.push_str(segment);
        }
    }
    if text.ends_with('/') {
        text.pop();
    }
    Ok(Reading { text, is_folded, is_without_format: false })
}

/// Removes the stream of a file or folder, as Windows names it: `admin::$INDEX_ALLOCATION` and
/// `admin:$I30:$INDEX_ALLOCATION` are `admin`.
fn without_stream(segment: &str) -> &str {
    let name = segment.find(':').filter(|_| segment.contains(STREAM));
    name.map_or(segment, |end| &segment[..end])
}

fn without_parameters(path: &str) -> String {
    let names = path.split_inclusive(['/', '\\']).flat_map(|name| match name.split_once(';') {
        Some((name, parameters)) => [name, parameters.matches(['/', '\\']).next().unwrap_or_default()],
        None => [name, ""],
    });
    names.collect()
}

/// Folds a path as file systems, databases and applications do that ignore case, accents and invisible characters, take
/// compatible characters for one (NFKD), or decode `+` to a space.
fn fold(path: &str) -> String {
    let path = path.replace('+', " ");
    if path.is_ascii() {
        return path.to_ascii_lowercase();
    }
    let folded: String = path.chars().flat_map(char::to_uppercase).flat_map(char::to_lowercase).collect();
    DecomposingNormalizerBorrowed::new_nfkd()
        .normalize(&folded)
        .chars()
        .filter(|character| character.is_ascii() || character.is_alphanumeric())
        .flat_map(char::to_uppercase)
        .flat_map(char::to_lowercase)
        .collect()
}

/// Percent-decodes a path. The characters of [`ENCODED`] become their marks where they are encoded; with `as_written`,
/// letters, digits and `-._~` become [`WRITTEN`] with their digits.
fn decode(path: &str, as_written: bool) -> Result<String, PathProblem> {
    let mut decoded = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let [byte, behind @ ..] = rest {
        rest = behind;
        match byte {
            b'\\' => return Err(PathProblem::Backslash),
            b'#' => return Err(PathProblem::Character),
            b'%' => {
                let [high, low, behind @ ..] = rest else { return Err(PathProblem::Encoding) };
                let byte = hexadecimal(*high, *low).ok_or(PathProblem::Encoding)?;
                rest = behind;
                match byte {
                    b'\\' => return Err(PathProblem::Backslash),
                    0..0x20 | 0x7f => return Err(PathProblem::Character),
                    _ => match ENCODED.iter().find(|(character, _)| *character == byte) {
                        // A mark is one byte of UTF-8.
                        Some((_, mark)) => decoded.push(*mark as u8),
                        None if as_written && is_unreserved(byte) => {
                            decoded.extend([WRITTEN as u8, *high, *low]);
                        }
                        None => decoded.push(byte),
                    },
                }
            }
            0x21..0x7f => decoded.push(*byte),
            _ => return Err(PathProblem::Character),
        }
    }
    let mut decoded = String::from_utf8(decoded).map_err(|_| PathProblem::Encoding)?;
    if !decoded.is_ascii() {
        decoded = decoded.chars().map(|character| compatible(character).unwrap_or(character)).collect();
        if decoded.contains('\\') {
            return Err(PathProblem::Backslash);
        }
    }
    // The digits of a decoded `%` may have been encoded too (`%25%32%65`).
    let is_encoded = |bytes: &[u8]| bytes[0] == PERCENT as u8 && hexadecimal(bytes[1], bytes[2]).is_some();
    if !as_written && decoded.as_bytes().windows(3).any(is_encoded) {
        return Err(PathProblem::DoubleEncoding);
    }
    Ok(decoded)
}

/// Returns what stands for a character that applications, or the file systems and databases behind them, may take for one
/// that divides a path: its mark, as if that one were encoded, or the backslash itself. These are the compatible characters of
/// Unicode (NFKD), and those that Windows converts to one in most code pages ("best fit").
const fn compatible(character: char) -> Option<char> {
    match character {
        '\u{ff0f}' | '\u{2044}' | '\u{2215}' => Some('\u{1}'),
        '\u{37e}' | '\u{fe14}' | '\u{fe54}' | '\u{ff1b}' => Some('\u{2}'),
        '\u{66a}' | '\u{fe6a}' | '\u{ff05}' => Some(PERCENT),
        '\u{fe16}' | '\u{fe56}' | '\u{ff1f}' | '\u{2047}'..='\u{2049}' => Some('\u{4}'),
        '\u{fe5f}' | '\u{ff03}' => Some('\u{5}'),
        '\u{2216}' | '\u{fe68}' | '\u{ff3c}' => Some('\\'),
        _ => None,
    }
}

/// Reports whether a byte is of the characters that need no encoding (RFC 3986 §2.3).
fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
}

fn hexadecimal(high: u8, low: u8) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    Some(digit(high)? << 4 | digit(low)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `a/c` and its like hold letters: [`fold`] has them as a name and a slash.
    const WITH_LETTERS: [char; 4] = ['\u{2100}', '\u{2101}', '\u{2105}', '\u{2106}'];

    proptest::proptest! {
        #[test]
        fn the_only_reading_is_all_of_them(path in "/([a-zA-Z0-9_~/-]|[.;%+\\u{e9}]|%2[5eF]){0,12}") {
            if let Some(reading) = only_reading(&path) {
                proptest::prop_assert_eq!(all_readings(&path), Ok(vec![reading]));
            }
        }
    }

    #[test]
    fn long_paths_of_plain_characters_are_refused() {
        assert!(only_reading(&"/a".repeat(MAX_SEGMENTS)).is_some());
        assert_eq!(readings(&"/a".repeat(MAX_SEGMENTS + 1)), Err(PathProblem::Long));
        assert_eq!(readings(&format!("/{}", "a".repeat(MAX_PATH))), Err(PathProblem::Long));
    }

    // attack: access.path-of-compatible-characters
    #[test]
    fn every_character_that_is_compatible_with_one_that_divides_a_path_is_known() {
        let normalizer = DecomposingNormalizerBorrowed::new_nfkd();
        let divides = |text: &str| text.contains(['/', ';', '%', '?', '#', '\\']);
        for character in '\u{80}'..=char::MAX {
            let decomposed = normalizer.normalize(character.encode_utf8(&mut [0; 4])).into_owned();
            if divides(&decomposed) && !WITH_LETTERS.contains(&character) {
                let known = compatible(character).map(|mark| {
                    let encoded = ENCODED.iter().find(|(_, of)| *of == mark);
                    encoded.map_or(mark, |(byte, _)| char::from(*byte))
                });
                assert!(known.is_some_and(|known| decomposed.contains(known)), "{character:?}");
            }
        }
    }
}
