//! The path of a request, in every way that applications read it.
//!
//! RFC 3986 §6.2 says which paths are equivalent, and applications go further: some decode an encoded slash, drop
//! the parameters of a segment (`;…`), merge slashes, or ignore case and the dots at the end of a name. Each of these is
//! one choice, and a reading makes each of them or not. Most paths have one or two readings.

/// The longest path that is read, in bytes. Each reading costs as much as the path is long.
const MAX_PATH: usize = 4_096;
/// Most segments of a path that is read.
const MAX_SEGMENTS: usize = 256;

/// Why a path cannot be judged: no browser sends it, and applications read it in ways that are not foreseeable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PathProblem {
    /// It does not begin with a slash.
    #[error("does not begin with a slash")]
    Form,
    /// It is longer than 4,096 bytes, or has more than 256 segments.
    #[error("is longer than 4,096 bytes, or has more than 256 segments")]
    Long,
    /// It holds a space, a control character or a byte beyond ASCII, or one of these encoded, or a fragment.
    #[error("holds a character that a path cannot have")]
    Character,
    /// It holds a backslash, or an encoded one.
    #[error("holds a backslash")]
    Backslash,
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

/// What a reading does with the path. Every combination that may change the path is a reading.
#[derive(Clone, Copy, Debug)]
struct Choices(u8);

impl Choices {
    /// Decodes `%2F`, `%3B` and `%25`; `%3F` and `%23` end the path.
    const DECODE: u8 = 1;
    /// Removes `;` and what follows it from each segment.
    const PARAMETERS: u8 = 2;
    /// Removes empty segments.
    const MERGE: u8 = 4;
    /// Ignores case, and dots and spaces at the end of a segment.
    const FOLD: u8 = 8;
    /// The number of combinations.
    const COUNT: u8 = 16;

    fn has(self, choice: u8) -> bool {
        self.0 & choice != 0
    }
}

/// The characters that a reading decodes or does not, each with the control character that stands for its encoded
/// form. A path has no control characters of its own.
const ENCODED: [(u8, char); 5] =
    [(b'/', '\u{1}'), (b';', '\u{2}'), (b'%', '\u{3}'), (b'?', '\u{4}'), (b'#', '\u{5}')];

/// One reading of a path: its segments. `/admin` and `/admin/` are one path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reading {
    pub(super) segments: Vec<String>,
    /// Whether case is ignored: the segments are in lower case.
    pub(super) is_folded: bool,
}

/// Returns the readings of a request's path, with or without a query: at most 16, the plain one first.
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
    let path = decode(path)?;
    // Each of these begins a segment in some reading.
    if path.matches(['/', '\u{1}']).count() > MAX_SEGMENTS {
        return Err(PathProblem::Long);
    }
    let changes = changes(&path);
    let choices = (0..Choices::COUNT).filter(|choices| choices & !changes == 0);
    choices.map(|choices| read(&path, Choices(choices))).collect()
}

/// Parses the path of a pattern: it has one reading, apart from case.
///
/// # Errors
/// A [`PathProblem`]; `None` for a path that has several readings.
pub(super) fn of_pattern(path: &str) -> Result<Option<Reading>, PathProblem> {
    let path = decode(path)?;
    let plain = read(&path, Choices(0))?;
    Ok((changes(&path) & !Choices::FOLD == 0).then_some(plain))
}

/// Returns the choices that may change a decoded path.
fn changes(path: &str) -> u8 {
    let encodes = |character: char| ENCODED.iter().any(|(_, mark)| *mark == character);
    let mut changes = 0;
    if path.contains(encodes) {
        changes |= Choices::DECODE;
    }
    if path.contains([';', '\u{2}']) {
        changes |= Choices::PARAMETERS;
    }
    if path.contains("//") || path.contains([';', '\u{1}', '\u{2}']) {
        changes |= Choices::MERGE;
    }
    let folds = |character: char| {
        matches!(character, '.' | ' ') || character.is_alphabetic() && !character.is_lowercase()
    };
    if path.contains(folds) {
        changes |= Choices::FOLD;
    }
    changes
}

fn read(path: &str, choices: Choices) -> Result<Reading, PathProblem> {
    let mut text = path.to_owned();
    if choices.has(Choices::DECODE) {
        text = text.split(['\u{4}', '\u{5}']).next().unwrap_or_default().to_owned();
        for (character, mark) in ENCODED {
            text = text.replace(mark, char::from(character).encode_utf8(&mut [0; 4]));
        }
    }
    let mut segments = Vec::new();
    for segment in text.split('/').skip(1) {
        let segment = match choices.has(Choices::PARAMETERS) {
            true => segment.split(';').next().unwrap_or_default(),
            false => segment,
        };
        let is_dots =
            segment.contains('.') && segment.chars().all(|character| matches!(character, '.' | ' '));
        if is_dots {
            return Err(PathProblem::Dots);
        }
        segments.push(match choices.has(Choices::FOLD) {
            true => segment.trim_end_matches(['.', ' ']).to_lowercase(),
            false => segment.to_owned(),
        });
    }
    if choices.has(Choices::MERGE) {
        segments.retain(|segment| !segment.is_empty());
    } else if segments.last().is_some_and(String::is_empty) {
        segments.pop();
    }
    Ok(Reading { segments, is_folded: choices.has(Choices::FOLD) })
}

/// Percent-decodes a path. The characters of [`ENCODED`] become their marks where they are encoded.
fn decode(path: &str) -> Result<String, PathProblem> {
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
                    b'%' if matches!(rest, [high, low, ..] if hexadecimal(*high, *low).is_some()) => {
                        return Err(PathProblem::DoubleEncoding);
                    }
                    _ => match ENCODED.iter().find(|(character, _)| *character == byte) {
                        // A mark is one byte of UTF-8.
                        Some((_, mark)) => decoded.push(*mark as u8),
                        None => decoded.push(byte),
                    },
                }
            }
            0x21..0x7f => decoded.push(*byte),
            _ => return Err(PathProblem::Character),
        }
    }
    String::from_utf8(decoded).map_err(|_| PathProblem::Encoding)
}

fn hexadecimal(high: u8, low: u8) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    Some(digit(high)? << 4 | digit(low)?)
}
