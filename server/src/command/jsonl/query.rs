//! `claimgate query --jsonl`: `{"path", "document"}`.

use claimgate::limits::Limits;
use claimgate::path::ClaimPath;
use serde_json::{Value, json};

use super::{Answer, Answerer, Malformed, Members, object, reject_unknown};

/// Answers lines with the values that a claim path selects.
pub(crate) struct QueryAnswerer;

impl Answerer for QueryAnswerer {
    fn answer(&self, questions: Vec<Members>) -> Vec<Answer> {
        questions.into_iter().map(query).collect()
    }
}

fn query(mut members: Members) -> Answer {
    let Some(Value::String(path)) = members.remove("path") else {
        return Err(Malformed::new("input.path", "`path` must be a string"));
    };
    let Some(document) = members.remove("document") else {
        return Err(Malformed::new("input.document", "`document` is missing"));
    };
    reject_unknown(&members)?;
    let selected = ClaimPath::parse(&path)
        .and_then(|path| path.select(&document, &Limits::DEFAULT).map(|values| json!(values)));
    Ok(object(match selected {
        Ok(values) => json!({ "values": values }),
        Err(error) => json!({"code": error.code(), "message": error.to_string()}),
    }))
}
