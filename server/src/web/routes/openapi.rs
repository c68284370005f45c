//! `GET /api/openapi.json`: the description of the interface, for programs and for what generates them.

use axum::body::Bytes;
use axum::response::Response;

use crate::web::extract::Current;
use crate::web::respond;

/// The description, by hand. Nothing in it is of one installation.
pub(super) const DOCUMENT: &str = include_str!("../openapi.json");
/// The address of the server in it: the host that the description was fetched from.
const SERVER: &str = r#""servers": [{"url": "/""#;

/// Answers with the description; the address of the server has the path of `public_url`.
pub(super) async fn get(Current(app): Current) -> Response {
    let path = &app.server.public_url.path;
    let document = app.process.description.get_or_init(|| match path.is_empty() {
        true => Bytes::from_static(DOCUMENT.as_bytes()),
        false => DOCUMENT.replacen(SERVER, &SERVER.replace('/', path), 1).into(),
    });
    respond::asset("application/json", document.clone())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use claimgate::oidc::frontchannel::FrontChannelError;
    use claimgate::oidc::records::StoreError;
    use claimgate_remote::RemoteError;
    use serde_json::Value;

    use super::super::{interface, pages};
    use super::*;
    use crate::web::password::PasswordError;
    use crate::web::problem::{AccessReason, AccessRefusal, AdminError, Problem};

    fn document() -> Value {
        serde_json::from_str(DOCUMENT).expect("the description is JSON")
    }

    /// Returns the operations, each with its path and method.
    fn operations(document: &Value) -> Vec<(&str, &str, &Value)> {
        let paths = document["paths"].as_object().expect("paths");
        let of_path = |(path, methods)| {
            let methods: &serde_json::Map<_, _> = Value::as_object(methods).expect("methods");
            methods.iter().map(move |(method, operation)| (path, method.as_str(), operation))
        };
        paths.iter().map(|(path, methods)| (path.as_str(), methods)).flat_map(of_path).collect()
    }

    #[test]
    fn every_route_of_programs_is_described_and_the_reverse() {
        let document = document();
        let described: BTreeSet<_> = operations(&document)
            .into_iter()
            .map(|(path, method, _)| (path.to_owned(), method.to_owned()))
            .collect();
        // An address that answers all methods is described by one.
        let method = |method: &str| if method == "any" { "get" } else { method }.to_owned();
        let routes = interface();
        let there: BTreeSet<_> =
            routes.iter().map(|route| (route.path.replace("{*", "{"), method(route.method))).collect();
        assert_eq!(described, there);
        assert!(
            pages().iter().all(|page| !page.path.starts_with("/api/")),
            "an address of programs is no page"
        );
    }

    #[test]
    fn every_page_is_in_the_reference() {
        let reference = include_str!("../../../../docs/reference/http.md");
        for page in pages() {
            // `/assets/console/{file}` and the style sheets are what pages load; the last answers other addresses.
            let is_loaded = page.path.starts_with("/assets/") || page.path == "/admin/{*rest}";
            let is_named =
                [" ", "`", "?"].iter().any(|end| reference.contains(&format!(" {}{end}", page.path)));
            assert!(is_loaded || is_named, "{} {}", page.method, page.path);
        }
    }

    /// Returns the codes that answers with a status may have: those that are named, and the patterns of those that are not.
    fn codes(document: &Value, status: &str) -> (BTreeSet<String>, Vec<regex::Regex>) {
        let (mut named, mut patterns) = (BTreeSet::new(), Vec::new());
        for (_, _, operation) in operations(document) {
            let response = &operation["responses"][status];
            let name = response["$ref"].as_str().and_then(|name| name.rsplit('/').next());
            let response = name.map_or(response, |name| &document["components"]["responses"][name]);
            let code = &response["content"]["application/json"]["schema"]["properties"]["error"];
            named.extend(
                code["enum"].as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned),
            );
            patterns.extend(
                code["pattern"].as_str().map(|pattern| regex::Regex::new(pattern).expect("a pattern")),
            );
        }
        (named, patterns)
    }

    fn access(reason: AccessReason) -> Problem {
        Problem::Access(Box::new(AccessRefusal {
            reason,
            user: None,
            token_client: None,
            is_bearer: false,
            rule: None,
            application: String::new(),
            is_page: false,
        }))
    }

    #[test]
    fn answers_have_the_codes_and_statuses_that_are_described() {
        let document = document();
        let store = || StoreError { reason: "full".to_owned() };
        for problem in [
            Problem::Provider(RemoteError::Busy),
            Problem::FrontChannel(FrontChannelError::Request),
            Problem::TooManyLogouts,
            Problem::Store(store()),
            Problem::Password(PasswordError::TooShort),
            Problem::Password(PasswordError::TooLong),
            Problem::Busy,
            Problem::TooManyRequests,
            Problem::WrongPassword,
            Problem::TooManyPasswords,
            Problem::CrossSite,
            Problem::SignedOut,
            Problem::NoToken,
            Problem::BearerToken("claims.expired"),
            Problem::Forbidden,
            Problem::Admin(AdminError::Off),
            Problem::Admin(AdminError::Network),
            Problem::Admin(AdminError::Host),
            Problem::Admin(AdminError::Session),
            Problem::AdminClient(String::new()),
            access(AccessReason::Team(claimgate::access::MissingTeams::OneOf(Vec::new()))),
            access(AccessReason::NoApplication),
            access(AccessReason::NoRule(String::new())),
            access(AccessReason::Headers(1)),
            Problem::Parameter("teams".to_owned()),
            Problem::VerifySecret,
            Problem::NotFound,
            Problem::BadRequest("why"),
            Problem::Taken,
            Problem::LastSuperAdmin,
            Problem::TooLarge,
            Problem::TooManyFields,
            Problem::SlowBody,
        ] {
            let code = problem.shown_code();
            let (named, patterns) = codes(&document, problem.json().status().as_str());
            let is_described = named.contains(code) || patterns.iter().any(|pattern| pattern.is_match(code));
            assert!(is_described, "{code}");
        }
    }

    /// The codes of the interface are those of its problems; each is in the reference of codes.
    #[test]
    fn every_code_is_described_and_in_the_reference() {
        let document = document();
        let statuses: BTreeSet<_> = operations(&document)
            .iter()
            .flat_map(|(_, _, operation)| operation["responses"].as_object().expect("responses").keys())
            .map(String::as_str)
            .collect();
        let found: Vec<_> = statuses.iter().map(|status| codes(&document, status)).collect();
        let reference = include_str!("../../../../docs/reference/errors.md");
        for code in found.iter().flat_map(|(named, _)| named) {
            let is_of_a_specification = code == "invalid_request";
            assert!(is_of_a_specification || reference.contains(&format!("| `{code}` |")), "{code}");
        }
        let literal = regex::Regex::new(r#""([a-z_]+\.[a-z_]+)""#).expect("a pattern");
        // Only pages and 405, which no operation has, are answered with these.
        let of_no_operation = ["callback.too_many", "sign_in.token", "sign_in.claim", "request.method"];
        for code in literal.captures_iter(include_str!("../problem.rs")) {
            let is_described = |(named, patterns): &(BTreeSet<String>, Vec<regex::Regex>)| {
                named.contains(&code[1]) || patterns.iter().any(|pattern| pattern.is_match(&code[1]))
            };
            assert!(of_no_operation.contains(&&code[1]) || found.iter().any(is_described), "{}", &code[1]);
        }
    }

    #[test]
    fn the_address_of_the_server_stands_once() {
        assert_eq!(DOCUMENT.matches(SERVER).count(), 1);
    }
}
