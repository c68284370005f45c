//! The questions of `claimgate init` at a terminal: those that no option has answered.

use std::path::Path;

use claimgate_config::Extensions;
use dialoguer::theme::ColorfulTheme;
use dialoguer::{Input, Select};
use zeroize::Zeroizing;

use super::file::Answers;
use super::kinds::KINDS;
use super::{Arguments, registration};
use crate::command::output::{self, Failure};

/// Asks what the options leave open, and puts the answers into them. An answer that a server would not start with is
/// asked for again.
pub(super) fn ask(arguments: &mut Arguments, folder: &Path, extensions: &Extensions) -> Result<(), Failure> {
    let theme = ColorfulTheme::default();
    let kind = match arguments.provider {
        Some(kind) => kind,
        None => {
            let titles: Vec<_> = KINDS.iter().map(|kind| kind.title).collect();
            let select =
                Select::with_theme(&theme).with_prompt("Which provider signs people in?").items(titles);
            &KINDS[select.default(0).interact().map_err(stopped)?]
        }
    };
    arguments.provider = Some(kind);
    let examples = Answers::examples(kind);
    let text =
        |given: &mut Option<String>, prompt: &str, default: Option<&str>, with: &dyn Fn(&str) -> Answers| {
            if given.is_some() {
                return Ok(());
            }
            let mut input = Input::<String>::with_theme(&theme)
                .with_prompt(prompt)
                .validate_with(|typed: &String| with(typed.trim()).check(folder, extensions).map(drop));
            if let Some(default) = default {
                input = input.default(default.to_owned());
            }
            let typed = input.interact_text().map_err(stopped)?;
            *given = Some(typed.trim().to_owned());
            Ok::<(), Failure>(())
        };
    text(
        &mut arguments.public_url,
        "Address of Claimgate for browsers, such as https://sso.example.com",
        None,
        &|typed| Answers { public_url: typed.to_owned(), ..examples.clone() },
    )?;
    let prompt = format!("Issuer, such as {}. {}", kind.issuer, kind.about_issuer);
    text(&mut arguments.issuer, &prompt, kind.open_issuer, &|typed| Answers {
        issuer: typed.to_owned(),
        ..examples.clone()
    })?;
    show_registration(arguments, examples.clone(), folder, extensions)?;
    text(&mut arguments.client_id, "Client id at the provider", None, &|typed| Answers {
        client_id: typed.to_owned(),
        ..examples.clone()
    })?;
    if !arguments.has_secret_option() {
        let prompt = "Client secret (not shown; empty for a public client): ";
        arguments.typed_secret = Some(Zeroizing::new(rpassword::prompt_password(prompt)?));
    }
    if kind.name == "google" && arguments.domain.is_none() {
        let prompt = "Workspace domain whose people may sign in (empty: only users that you add)";
        arguments.domain = optional(&theme, prompt)?;
    }
    if arguments.admin.is_none() && arguments.admin_group.is_none() {
        let prompt = "Username of the first administrator, who signs in by password (empty: none now)";
        arguments.admin = optional(&theme, prompt)?;
    }
    Ok(())
}

/// Shows what to enter at the provider, unless an option gives the client id: the provider gives one in return.
fn show_registration(
    arguments: &mut Arguments,
    mut answers: Answers,
    folder: &Path,
    extensions: &Extensions,
) -> Result<(), Failure> {
    if arguments.client_id.is_some() {
        return Ok(());
    }
    answers.public_url = arguments.public_url.clone().unwrap_or_default();
    answers.issuer = arguments.issuer.clone().unwrap_or_default();
    let config = answers.check(folder, extensions).map_err(Failure::Usage)?;
    arguments.registration_shown = true;
    output::text(&registration::text(answers.kind, &config))
}

/// Asks for a text that may be left out.
fn optional(theme: &ColorfulTheme, prompt: &str) -> Result<Option<String>, Failure> {
    let typed = Input::<String>::with_theme(theme).with_prompt(prompt).allow_empty(true).interact_text();
    Ok(Some(typed.map_err(stopped)?.trim().to_owned()).filter(|typed| !typed.is_empty()))
}

/// Returns the failure of a question that was not answered.
fn stopped(error: dialoguer::Error) -> Failure {
    Failure::Usage(format!("nothing was written: {error}"))
}
