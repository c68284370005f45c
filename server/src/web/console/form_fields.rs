//! The fields of a form as a browser sends them, some of them several times.

use serde::Deserialize;
use zeroize::Zeroizing;

use crate::web::extract::Body;
use crate::web::problem::Problem;
use claimgate::text::for_display;

/// The fields, each with its name.
#[derive(Default, Deserialize)]
#[serde(transparent)]
pub(crate) struct Fields(pub(crate) Vec<(String, Zeroizing<String>)>);

impl Body for Fields {
    const EXPECTED: &'static str = "send the fields of the page as a form";
}

impl Fields {
    /// Returns fields, as a browser sends those that a page has.
    pub(crate) fn of(fields: Vec<(String, String)>) -> Self {
        Self(fields.into_iter().map(|(name, value)| (name, Zeroizing::new(value))).collect())
    }

    /// Returns the problem of a field that no page has.
    pub(crate) fn unknown(name: &str) -> Problem {
        Problem::Member { name: for_display(name), expected: Self::EXPECTED }
    }
}

/// Returns the lines of a field that are not empty.
pub(crate) fn lines(text: &str) -> Vec<String> {
    text.lines().filter(|line| !line.trim().is_empty()).map(str::to_owned).collect()
}
