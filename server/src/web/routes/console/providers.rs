//! `/admin/providers`: the providers, and a test of one.

use std::time::Duration;

use axum::response::Response;
use maud::html;
use serde::Deserialize;
use tracing::info;

use crate::web::console::frame::{Heading, Page};
use crate::web::console::providers::{self, Tested};
use crate::web::console::saving;
use crate::web::console::session::Console;
use crate::web::extract::{Path, Query};
use crate::web::problem::Problem;
use crate::web::{provider_check, request_log};
use claimgate_config::Provider;

/// Longest time of a test: it ends before the request does.
pub(super) const TEST_TIME: Duration = Duration::from_secs(25);

pub(super) const HEADING: Heading<'_> = Heading {
    title: "Providers",
    lead: "Where people sign in: what to register there, the state of the keys, and a test of each.",
};

/// What the address may say: what was saved just now.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Known {
    #[serde(default)]
    done: String,
}

pub(super) async fn show(console: Console, known: Result<Query<Known>, Problem>) -> Response {
    let Known { done } = match known {
        Ok(Query(known)) => known,
        Err(problem) => return console.problem(Page::Providers, &problem),
    };
    let closed = saving::editable(&console).err();
    let page = providers::page(&console.app, &saving::saved(&done), closed.as_ref(), None);
    console.page(Page::Providers, &HEADING, &page)
}

/// Tests a provider.
pub(super) async fn test(console: Console, id: Result<Path<String>, Problem>) -> Response {
    let app = &console.app;
    let found = id.and_then(|Path(id)| app.provider(&id));
    let provider = match found {
        Ok(provider) => provider,
        Err(problem) => return console.problem(Page::Providers, &problem),
    };
    let tested = run(&console, &provider.config).await;
    let closed = saving::editable(&console).err();
    let tested = Some((provider.config.id.as_str(), &tested));
    console.page(Page::Providers, &HEADING, &providers::page(app, &html! {}, closed.as_ref(), tested))
}

/// Tests a provider, if no other test takes place, and not too many did just now.
pub(super) async fn run(console: &Console, provider: &Provider) -> Tested {
    let Some(_turn) = console.app.process.limiter.begin_provider_test() else { return Tested::Busy };
    note(console, provider, "provider tested");
    match tokio::time::timeout(TEST_TIME, provider_check::run(provider)).await {
        Ok(steps) => Tested::Steps(steps),
        Err(_) => Tested::Slow,
    }
}

/// Writes into the log that an administrator had the server call a provider.
pub(super) fn note(console: &Console, provider: &Provider, what: &str) {
    let client = request_log::fields().client;
    let admin = &console.admin.user.username;
    info!(client, admin, provider = provider.id, issuer = provider.issuer, "{what}");
}
