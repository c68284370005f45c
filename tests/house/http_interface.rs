//! `docs/generated/http-api.md`: the OpenAPI document of the server as a page.
#![expect(clippy::unwrap_used, reason = "a test that cannot read its input has failed")]

use std::fmt::Write;
use std::fs;

use serde_json::{Map, Value};

use super::source::root;
use super::traceability::compare;

/// Returns the component that a value refers to, or the value itself.
fn resolved<'a>(document: &'a Value, value: &'a Value) -> &'a Value {
    match value["$ref"].as_str() {
        Some(reference) => document.pointer(reference.trim_start_matches('#')).unwrap(),
        None => value,
    }
}

fn members(value: &Value) -> impl Iterator<Item = (&str, &Value)> {
    value.as_object().into_iter().flatten().map(|(name, value)| (name.as_str(), value))
}

/// Returns the type of a schema in words; a component is linked.
fn type_of(schema: &Value) -> String {
    if let Some(name) = schema["$ref"].as_str().and_then(|reference| reference.rsplit('/').next()) {
        return format!("[{name}](#{})", name.to_lowercase());
    }
    if let Some(all) = schema["allOf"].as_array().or(schema["anyOf"].as_array()) {
        return all.iter().map(type_of).collect::<Vec<_>>().join(" or ");
    }
    if let Some(values) = schema["enum"].as_array() {
        return values
            .iter()
            .map(|value| format!("`{}`", value.as_str().unwrap()))
            .collect::<Vec<_>>()
            .join(", ");
    }
    if !schema["const"].is_null() {
        return format!("`{}`", schema["const"]);
    }
    let names: Vec<_> = match &schema["type"] {
        Value::Array(names) => names.iter().filter_map(Value::as_str).collect(),
        name => name.as_str().into_iter().collect(),
    };
    let of =
        |inner: &Value| if inner.is_object() { format!(" of {}", type_of(inner)) } else { String::new() };
    let named = |name: &&str| match *name {
        "array" => format!("array{}", of(&schema["items"])),
        "object" => format!("object{}", of(&schema["additionalProperties"])),
        other => other.to_owned(),
    };
    names.iter().map(named).collect::<Vec<_>>().join(" or ")
}

/// Returns by what an operation is allowed.
fn credentials(operation: &Value) -> String {
    let alternatives = operation["security"].as_array().unwrap().iter().map(|alternative| {
        let names: Vec<_> = alternative.as_object().unwrap().keys().map(|name| format!("`{name}`")).collect();
        if names.is_empty() { "nothing".to_owned() } else { names.join(" and ") }
    });
    let alternatives: Vec<_> = alternatives.collect();
    if alternatives.is_empty() { "nothing".to_owned() } else { alternatives.join(", or ") }
}

/// Writes the table of operations, and that of their parameters.
fn write_operations(page: &mut String, document: &Value) {
    page.push_str(
        "## Operations\n\n| operation | effect | allowed by | answers |\n| --- | --- | --- | --- |\n",
    );
    let mut parameters = String::new();
    for (path, methods) in members(&document["paths"]) {
        for (method, operation) in members(methods) {
            let name = format!("`{} {path}`", method.to_uppercase());
            let statuses: Vec<_> = members(&operation["responses"]).map(|(status, _)| status).collect();
            let summary = operation["summary"].as_str().unwrap();
            let note = operation["description"].as_str().map(|text| format!(". {text}")).unwrap_or_default();
            let (allowed, statuses) = (credentials(operation), statuses.join(", "));
            writeln!(page, "| {name} | {summary}{note} | {allowed} | {statuses} |").unwrap();
            for parameter in operation["parameters"].as_array().into_iter().flatten() {
                let parameter = resolved(document, parameter);
                let [called, place, meaning] =
                    ["name", "in", "description"].map(|member| parameter[member].as_str().unwrap());
                writeln!(parameters, "| {name} | `{called}` ({place}) | {meaning} |").unwrap();
            }
        }
    }
    page.push_str("\n## Parameters\n\n| operation | parameter | meaning |\n| --- | --- | --- |\n");
    page.push_str(&parameters);
}

/// Writes a table of the members of each object.
fn write_schemas(page: &mut String, schemas: &Map<String, Value>) {
    for (name, schema) in schemas {
        writeln!(page, "\n## {name}\n\n{}", schema["description"].as_str().unwrap()).unwrap();
        let required = schema["required"].as_array().cloned().unwrap_or_default();
        match schema["properties"].as_object() {
            None => writeln!(page, "Values: {}.", type_of(schema)).unwrap(),
            Some(properties) => {
                page.push_str("\n| member | type | meaning |\n| --- | --- | --- |\n");
                for (member, property) in properties {
                    let meaning = property["description"].as_str().unwrap_or_default();
                    let is_required = required.iter().any(|name| name == member.as_str());
                    let optional = if is_required { "" } else { ", optional" };
                    writeln!(page, "| `{member}` | {}{optional} | {meaning} |", type_of(property)).unwrap();
                }
            }
        }
    }
}

#[test]
fn the_page_of_the_interface_is_that_of_the_document() {
    let text = fs::read_to_string(root().join("server/src/web/openapi.json")).unwrap();
    let document: Value = serde_json::from_str(&text).unwrap();
    let mut page = "# HTTP API\n\nMade from `server/src/web/openapi.json`, which the server serves at `/api/openapi.json` \
        (OpenAPI 3.1), by `cargo test -p claimgate --test house`. [HTTP interface](../reference/http.md) has what the operations \
        promise; [error codes](../reference/errors.md) their errors.\n\n"
        .to_owned();
    writeln!(page, "{}\n", document["info"]["description"].as_str().unwrap()).unwrap();
    write_operations(&mut page, &document);
    page.push_str("\n## Credentials\n\n| name | meaning |\n| --- | --- |\n");
    for (name, scheme) in members(&document["components"]["securitySchemes"]) {
        writeln!(page, "| `{name}` | {} |", scheme["description"].as_str().unwrap()).unwrap();
    }
    write_schemas(&mut page, document["components"]["schemas"].as_object().unwrap());
    compare("docs/generated/http-api.md", &page);
}
