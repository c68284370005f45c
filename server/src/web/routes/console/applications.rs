//! `/admin/applications`: the rules of access, tried out on a request.

use axum::response::Response;

use crate::web::console::applications::{self, Question};
use crate::web::console::frame::{Heading, Page};
use crate::web::console::session::Console;
use crate::web::extract::{Form, Query};
use crate::web::problem::Problem;

const HEADING: Heading<'_> = Heading {
    title: "Applications",
    lead: "Who is admitted where: the rules as the file has them, tried out on the request of a person.",
};

/// Shows the page. The query may name the request, as links of other pages do.
pub(super) async fn show(console: Console, query: Result<Query<Question>, Problem>) -> Response {
    match query {
        Ok(Query(question)) => page(&console, &question).await,
        Err(problem) => console.problem(Page::Applications, &problem),
    }
}

pub(super) async fn submit(console: Console, form: Result<Form<Question>, Problem>) -> Response {
    match form {
        Ok(Form(question)) => page(&console, &question).await,
        Err(problem) => console.problem(Page::Applications, &problem),
    }
}

/// Answers a script, which asks while the form is filled in, with the part of the page that changes.
pub(super) async fn answer(console: Console, form: Result<Form<Question>, Problem>) -> Response {
    match form {
        Ok(Form(question)) => {
            let answer = applications::run(&console.app, &question).await;
            console.respond(applications::answer(&console.app, &answer))
        }
        Err(problem) => problem.json(),
    }
}

async fn page(console: &Console, question: &Question) -> Response {
    let answer = applications::run(&console.app, question).await;
    let body = applications::page(&console.app, question, &answer);
    console.page(Page::Applications, &HEADING, &body)
}
