//! `/admin/providers`: the providers, and a test of one.

use std::time::Duration;

use axum::response::Response;
use tracing::info;

use crate::web::console::frame::{Heading, Page};
use crate::web::console::providers::{self, Tested};
use crate::web::console::session::Console;
use crate::web::extract::Path;
use crate::web::problem::Problem;
use crate::web::{provider_check, request_log};

/// Longest time of a test: it ends before the request does.
const TEST_TIME: Duration = Duration::from_secs(25);

const HEADING: Heading<'_> = Heading {
    title: "Providers",
    lead: "Where people sign in: what to register there, the state of the keys, and a test of each.",
};

pub(super) async fn show(console: Console) -> Response {
    console.page(Page::Providers, &HEADING, &providers::page(&console.app, None))
}

/// Tests a provider.
pub(super) async fn test(console: Console, id: Result<Path<String>, Problem>) -> Response {
    let app = &console.app;
    let found = id.and_then(|Path(id)| app.provider(&id));
    let provider = match found {
        Ok(provider) => provider,
        Err(problem) => return console.problem(Page::Providers, &problem),
    };
    let id = &provider.config.id;
    let tested = match app.process.limiter.begin_provider_test() {
        None => Tested::Busy,
        Some(_turn) => {
            info!(
                client = request_log::fields().client,
                admin = console.admin.user.username,
                provider = id,
                "provider tested"
            );
            match tokio::time::timeout(TEST_TIME, provider_check::run(&provider.config)).await {
                Ok(steps) => Tested::Steps(steps),
                Err(_) => Tested::Slow,
            }
        }
    };
    console.page(Page::Providers, &HEADING, &providers::page(app, Some((id, &tested))))
}
