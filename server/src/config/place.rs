//! Where in the file a setting stands, for errors.

/// Line and column of an offset, from 1.
pub(super) fn position(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().map_or(0, |last| last.chars().count()) + 1;
    (line, column)
}

/// The line that sets `key` in the `index`th table of a name (`[provider]`, `[[provider]]`), from 1;
/// the table's own line where it does not say, 0 where there is no such table.
pub(super) fn line_in(text: &str, table: &str, index: usize, key: &str) -> usize {
    let heads = [format!("[{table}]"), format!("[[{table}]]")];
    let lines = || text.lines().enumerate().map(|(number, line)| (number + 1, line.trim()));
    let Some((head, _)) =
        lines().filter(|(_, line)| heads.iter().any(|head| line.starts_with(head))).nth(index)
    else {
        return 0;
    };
    let body = lines().skip(head).take_while(|(_, line)| !line.starts_with('['));
    let set = body
        .into_iter()
        .find(|(_, line)| line.strip_prefix(key).is_some_and(|rest| rest.trim_start().starts_with('=')));
    set.map_or(head, |(line, _)| line)
}

/// The line of the setting that a mapping's message begins with: `identity.team[1].regex: …` is the
/// second `[[identity.team]]`, `identity.profile.email: …` the line that sets `email`.
pub(super) fn line_of_setting(text: &str, message: &str) -> usize {
    let setting = message.split(": ").next().unwrap_or_default();
    let rule = setting.strip_prefix("identity.team[").and_then(|rest| rest.split(']').next()?.parse().ok());
    match rule {
        Some(rule) => line_in(text, "identity.team", rule, "\0"),
        None => {
            let (table, key) = setting.rsplit_once('.').unwrap_or(("identity", setting));
            line_in(text, table, 0, key)
        }
    }
}
