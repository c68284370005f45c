//! `/admin/mapping`: the mapping, tried out on a token or on claims.

use axum::response::Response;
use serde::Deserialize;

use crate::web::console::frame::{Heading, Page};
use crate::web::console::mapping;
use crate::web::console::session::Console;
use crate::web::console::trial::{self, Question};
use crate::web::extract::{Form, Query};
use crate::web::problem::Problem;

const HEADING: Heading<'_> = Heading {
    title: "Mapping",
    lead: "Try out what the mapping makes of a token or of claims: who would sign in, in which teams, and why.",
};

/// What the address may fill in, as links of other pages do. Claims and tokens are not sent in addresses.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Known {
    #[serde(default)]
    provider: String,
    #[serde(default)]
    user: String,
}

pub(super) async fn show(console: Console, known: Result<Query<Known>, Problem>) -> Response {
    match known {
        Ok(Query(Known { provider, user })) => {
            let question = Question::of_user(&console.app, provider, user.trim());
            page(&console, &question).await
        }
        Err(problem) => console.problem(Page::Mapping, &problem),
    }
}

pub(super) async fn submit(console: Console, form: Result<Form<Question>, Problem>) -> Response {
    match form {
        Ok(Form(question)) => page(&console, &question).await,
        Err(problem) => console.problem(Page::Mapping, &problem),
    }
}

/// Answers a script, which asks while the form is filled in, with the part of the page that changes.
pub(super) async fn answer(console: Console, form: Result<Form<Question>, Problem>) -> Response {
    match form {
        Ok(Form(question)) => {
            let tried = trial::run(&console.app, &question).await;
            console.respond(mapping::answer(&console.app, &question, &tried))
        }
        Err(problem) => problem.json(),
    }
}

async fn page(console: &Console, question: &Question) -> Response {
    let tried = trial::run(&console.app, question).await;
    console.page(Page::Mapping, &HEADING, &mapping::page(&console.app, question, &tried))
}
