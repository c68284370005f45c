//! The question before a change that cannot be undone.

use std::io::{BufRead, IsTerminal, Write};

use crate::command::output::Failure;

/// Asks on the terminal whether to go on, unless `--yes` was given.
///
/// # Errors
/// [`Failure::Usage`]: the answer is not yes, or there is no terminal to ask.
pub(crate) fn confirm(question: &str, yes: bool) -> Result<(), Failure> {
    if yes {
        return Ok(());
    }
    if !std::io::stdin().is_terminal() {
        return Err(Failure::Usage(format!("{question} Nothing was changed; add --yes to go on")));
    }
    eprint!("{question} Go on? [y/N] ");
    std::io::stderr().flush()?;
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer)?;
    match answer.trim() {
        "y" | "Y" | "yes" => Ok(()),
        _ => Err(Failure::Usage("nothing was changed".to_owned())),
    }
}
