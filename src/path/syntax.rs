//! What is wrong with a text that is no JSONPath, and what to write instead. The parser's own message is six lines
//! of its grammar.

/// The longest part of a path that a message repeats, in characters.
const SHOWN: usize = 40;

/// Explains the parser's error, whose text names the line and the column as `--> 1:21`.
pub(super) fn explain(path: &str, error: &str) -> String {
    let Some(at) = position(path, error) else { return "the parser refuses it".to_owned() };
    let (before, rest) = path.split_at(at);
    let place = format!("at character {}", before.chars().count() + 1);
    if rest.starts_with('~') {
        return format!(
            "{place}, `~` is not part of RFC 9535; end the path before it, and take an object's member names as groups with \
            `object_keys = true`"
        );
    }
    // The name around the place, if a `.` begins it.
    let is_end = |character: char| ".[]()~ '\"&|=<>!,?".contains(character) || character.is_control();
    let start = before.rfind(is_end).map_or(0, |end| end + 1);
    let end = at + rest.find(is_end).unwrap_or(rest.len());
    let name = path.get(start..end).unwrap_or_default();
    if before.get(..start).is_some_and(|before| before.ends_with('.')) {
        match (name, rest.chars().next()) {
            ("", None) => return format!("it ends after `.`; {place}, a name is missing"),
            ("", Some('[')) => return format!("{place}, no `.` stands before `[`"),
            ("", Some(_)) => {}
            (name, _) => {
                let quoted = name.replace('\\', r"\\");
                let name = shown(&quoted);
                return format!(
                    "{place}, a name after `.` has letters, digits and `_` alone; write `['{name}']` in place of `.{name}`"
                );
            }
        }
    }
    match (before, rest) {
        ("$", _) => {
            format!("{place}, `.` or `[` must follow `$`; the literal name of a claim is written without `$`")
        }
        (_, "") => format!("it ends too early, {place}"),
        _ => format!("{place}, `{}` is not expected", shown(rest)),
    }
}

/// Returns the byte at which the parser stopped.
fn position(path: &str, error: &str) -> Option<usize> {
    let (_, place) = error.split_once("--> ")?;
    let (line, column) = place.lines().next()?.trim().split_once(':')?;
    let (line, column) = (line.parse::<usize>().ok()?, column.parse::<usize>().ok()?);
    let start: usize = path.split_inclusive('\n').take(line.checked_sub(1)?).map(str::len).sum();
    let rest = path.get(start..)?;
    let within = rest.char_indices().map(|(at, _)| at).nth(column.checked_sub(1)?);
    Some(start + within.unwrap_or(rest.len()))
}

/// Returns the beginning of a text for display.
fn shown(text: &str) -> String {
    crate::text::shortened(text, SHOWN)
}
