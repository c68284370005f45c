//! Access to applications: which rule decides on a request, and whom it admits.

use std::time::Duration;

use claimgate::access::{
    Ambiguity, ApplicationSpec, Applications, Caller, Denial, Headers, MissingTeams, Request, Rule, Selection,
};
use claimgate::claims::Claims;
use claimgate::limits::Limits;
use claimgate::oidc::facts::{KeptClaims, SessionFacts};
use claimgate::oidc::user::{TeamSource, User, UserId, UserKind};
use claimgate::path::ClaimPath;
use claimgate::time::UnixTime;
use proptest::prelude::*;
use serde_json::{Value, json};

fn compile(applications: &Value) -> Result<Applications, String> {
    let specs: Vec<ApplicationSpec> = serde_json::from_value(applications.clone()).unwrap();
    Applications::compile(&specs).map_err(|error| error.to_string())
}

/// An application with a public part, one for administrators, one that is read only, and the rest.
fn wiki() -> Applications {
    compile(&json!([{
        "name": "wiki",
        "hosts": ["wiki.example.com", "*.wiki.example.com"],
        "rule": [
            {"paths": ["/health", "/hooks/*"], "allow": "anyone"},
            {"paths": ["/admin/*", "/api/*/secret"], "teams": ["Administrators"]},
            {"paths": ["/archive/*"], "methods": ["GET"], "allow": "signed_in"},
            {"paths": ["/archive/*"], "allow": "no_one"},
            {"allow": "signed_in"}
        ]
    }]))
    .unwrap()
}

/// The number of the rule that decides; 0 if none does.
fn rule(applications: &Applications, path: &str, method: &str) -> usize {
    match applications.select(&Request::new("wiki.example.com", path, method)) {
        Selection::Rule { rule, .. } => rule.number(),
        _ => 0,
    }
}

fn user(teams: &[&str], kind: UserKind) -> User {
    User {
        id: UserId(1),
        username: "ada".to_owned(),
        kind,
        active: true,
        profile: Default::default(),
        teams: teams.iter().map(|team| ((*team).to_owned(), TeamSource::Hand)).collect(),
    }
}

#[test]
fn the_first_rule_that_fits_decides() {
    let wiki = wiki();
    for (path, method, number) in [
        ("/", "GET", 5),
        ("", "GET", 0),
        ("/health", "GET", 1),
        ("/health/", "GET", 1),
        ("/health?x=/admin/", "GET", 1),
        ("/healthy", "GET", 5),
        ("/health/x", "GET", 5),
        ("/hooks", "POST", 1),
        ("/hooks/a/b", "POST", 1),
        ("/admin", "GET", 2),
        ("/admin/users", "DELETE", 2),
        ("/administration", "GET", 5),
        ("/api/v1/secret", "GET", 2),
        ("/api/v1/x/secret", "GET", 5),
        ("/archive/2026", "GET", 3),
        ("/archive/2026", "HEAD", 3),
        // An application takes `get` for `GET` or for another method.
        ("/archive/2026", "get", 0),
        ("/archive/2026?_method=GET", "POST", 0),
        ("/archive/2026?_method=put", "POST", 4),
        ("/hooks/x.json", "GET", 1),
        ("/health.png", "GET", 0),
        ("/pages/TCP%2FIP%3F", "GET", 5),
        // Half, what, and 100 % in the letters of several scripts.
        ("/pages/1%E2%81%842", "GET", 5),
        ("/pages/%E4%BD%95%EF%BC%9F", "GET", 5),
        ("/pages/100%25", "GET", 5),
        ("/pages/100%EF%BC%85%E3%81%AE", "GET", 5),
        // Prices, and a file with a price.
        ("/%C2%A5100", "GET", 5),
        ("/pages/%E2%82%A91,000-%C2%A5100.pdf", "GET", 5),
        ("/hooks/%C2%A5100", "POST", 1),
        ("/pages/100%D9%AA", "GET", 5),
        ("/pages/A%C2%B7B%E2%80%A6", "GET", 5),
        ("/pages/jquery.min.js", "GET", 5),
        // A namespace, a price and a verb.
        ("/pages/Talk:Main", "GET", 5),
        ("/pages/US:$5", "GET", 5),
        ("/hooks/x:run", "POST", 1),
        ("/archive/2026", "POST", 4),
        ("/pages/Z%C3%BCrich%20(Stadt)", "GET", 5),
        ("/pages/group%2Fproject;v=1//x", "GET", 5),
    ] {
        assert_eq!(rule(&wiki, path, method), number, "{method} {path}");
    }
}

// attack: access.path
// attack: access.path-of-compatible-characters
#[test]
fn no_spelling_of_a_path_escapes_its_rule() {
    let wiki = wiki();
    // Read in one way only: the rule of the path.
    for path in ["/admin/%75sers", "/admin/users/", "/admin/x.json", "/admin/%C3%A1"] {
        assert_eq!(rule(&wiki, path, "GET"), 2, "{path}");
    }
    // Read in several ways, of which one is of another rule, or as no browser sends it.
    for path in [
        "/ADMIN/users",
        "/Admin",
        // Compared as it is written, it is not `/admin`, and not the public `/hooks`.
        "/%61dmin/users",
        "/%68ooks/x",
        // A host and a path for who parses an address.
        "//x/admin/users",
        "//hooks/admin",
        "/;/x/admin",
        // What is encoded neither ends the path nor stays a part of the name.
        "/hooks/%3F%2F..%2F..%2Fadmin",
        "/hooks/%23%2F..%2F..%2Fadmin",
        "/api%2Fx%3F/secret",
        "/api%2Fx;%2Fy/secret",
        // Odd in more ways than one client writes.
        "/pages/A.;b//c%2Fd%3F",
        // A format of the same page.
        "/admin.json",
        "/admin.tar.gz",
        "/admin.a.b.c",
        "/admin..json",
        "/ADMIN.json/",
        "/admin%EF%BC%8Ejson",
        "/admin%E2%80%A4tar.gz",
        "/api/x/secret.xml",
        // Streams of Windows' file systems.
        "/admin::$INDEX_ALLOCATION/users",
        "/admin:$I30:$INDEX_ALLOCATION/users",
        "/admin%3A%3A%24DATA",
        "/admin%EF%BC%9A%EF%BC%84x",
        // Accents, compatible and invisible characters, another letter for `i`, spaces in another spelling.
        "/%C3%A1dmin",
        "/%EF%BD%81dmin",
        "/ad%C2%ADmin",
        "/adm%C4%B1n/users",
        "/admin+/users",
        "/hooks/%EF%BC%8E%EF%BC%8E/admin",
        "/admin./users",
        "/admin%20/users",
        "//admin/users",
        "/admin//../users",
        "/x/../admin",
        "/x/%2e%2e/admin",
        "/x/.%2E/admin",
        "/./admin",
        "/health/../admin",
        "/hooks/..;/admin",
        "/hooks/..%3b/admin",
        "/hooks/..%2fadmin",
        "/hooks%2f..%2fadmin",
        "/;x/admin",
        "/admin;x=1/users",
        "/admin%3Bx/users",
        "/admin%2Fusers",
        "/%2Fadmin/users",
        "/admin%23/x",
        "/admin%3F/x",
        "/admin\\users",
        "/admin%5Cusers",
        "/x\\..\\admin",
        "/%2561dmin/users",
        "/admin%252Fusers",
        // The digits of what is encoded twice, encoded too.
        "/%25%36%31dmin/users",
        "/%25%361dmin/users",
        "/x/%25%32%65%25%32%65/admin",
        "/x/%2e%2e%25%32%66admin",
        "/pages/100%25%32%35",
        // Characters that are compatible with those that divide a path, or that Windows takes for them.
        "/admin%EF%BC%9Bx",
        "/admin%CD%BEx",
        "/admin%EF%BC%9Fx",
        "/admin%E2%81%87",
        "/admin%EF%BC%83x",
        "/admin%EF%BC%BCx",
        "/admin%EF%B9%A8x",
        "/admin%EF%BC%8Fusers",
        "/admin%EF%BC%8520",
        "/admin%EF%BC%85%32%66",
        "/admin%E2%81%84x",
        "/admin%E2%88%95x",
        "/x/..%EF%BC%9B/admin",
        "/x/..%CD%BE/admin",
        "/x/..%EF%BC%BCadmin",
        "/x/..%E2%88%95admin",
        "/hooks/a%E2%81%84..%E2%81%84..%E2%81%84admin",
        "/admin%E2%88%96x",
        "/hooks/%E2%88%96..%E2%88%96..%E2%88%96admin",
        "/x/%D9%AA2e%D9%AA2e/admin",
        // Dots of single code pages.
        "/hooks/%C2%B7%C2%B7/admin",
        "/hooks/.%E2%80%A2/admin",
        // Backslashes of Japanese and Korean code pages.
        "/admin%C2%A5users",
        "/%E2%82%A9admin",
        "/hooks/%C2%A5..%C2%A5..%C2%A5admin",
        "/hooks/..%E2%82%A9admin",
        "/api/a%2Fb%C2%A5secret",
        "/hooks/x;%C2%A5..%C2%A5admin",
        "/hooks/x%3B%E2%82%A9..%E2%82%A9admin",
        "/admin%00/users",
        "/admin%0a/users",
        "/admin\t/users",
        "/admin /users",
        "/admin#/users",
        "/admin%",
        "/admin%4",
        "/admin%zz",
        "/%c0%aeadmin",
        "/\u{e4}dmin",
        "admin/users",
        "http://wiki.example.com/admin",
        "*",
        "",
    ] {
        let selection = wiki.select(&Request::new("wiki.example.com", path, "GET"));
        assert!(matches!(selection, Selection::Ambiguous { .. }), "{path}: {selection:?}");
    }
}

// attack: access.path
#[test]
fn a_path_is_read_up_to_a_length() {
    let wiki = wiki();
    for (path, number) in [
        (format!("/{}", "a".repeat(4_095)), 5),
        (format!("/{}", "a".repeat(4_096)), 0),
        ("/a".repeat(256), 5),
        ("/a".repeat(257), 0),
        ("/a%2fa".repeat(129), 0),
        (format!("/a?{}", "/a".repeat(5_000)), 5),
    ] {
        assert_eq!(rule(&wiki, &path, "GET"), number, "{} bytes", path.len());
    }
}

// attack: access.host
#[test]
fn a_host_that_no_application_names_selects_no_rule() {
    let wiki = wiki();
    for host in ["WIKI.example.com", "wiki.example.com:8443", "wiki.example.com.", "a.b.wiki.example.com"] {
        assert!(matches!(wiki.select(&Request::new(host, "/", "GET")), Selection::Rule { .. }), "{host}");
    }
    for host in
        ["", "example.com", "evilwiki.example.com", "wiki.example.com.evil.org", "wiki.example.com@evil.org"]
    {
        assert!(matches!(wiki.select(&Request::new(host, "/", "GET")), Selection::NoApplication), "{host}");
    }
}

// attack: access.method
#[test]
fn a_method_that_is_not_certain_is_refused() {
    let wiki = wiki();
    let request = Request::new("wiki.example.com", "/archive/2026", "GET");
    let ambiguous = |request: Request<'_>| match wiki.select(&request) {
        Selection::Ambiguous { reason, .. } => Some(reason),
        _ => None,
    };
    assert_eq!(ambiguous(request), None);
    assert_eq!(ambiguous(request.overridden(&["HEAD"], &[])), None);
    assert!(matches!(
        ambiguous(request.overridden(&["HEAD", "delete"], &[])),
        Some(Ambiguity::Override { .. })
    ));
    // A header names a path with a parameter that overrides the method.
    assert!(matches!(
        ambiguous(request.overridden(&[], &["/archive/2026?_method=DELETE"])),
        Some(Ambiguity::Override { .. })
    ));
    // Two headers that a proxy has joined.
    assert!(matches!(
        ambiguous(request.overridden(&[], &["/archive/2026?_method=DELETE,/archive/2026"])),
        Some(Ambiguity::Override { .. })
    ));
    // One header of two values, of which applications take the first.
    assert!(matches!(ambiguous(request.overridden(&["DELETE, GET"], &[])), Some(Ambiguity::Override { .. })));
    assert_eq!(ambiguous(request.without_method()), Some(Ambiguity::NoMethod));
    let by_path =
        compile(&json!([{"hosts": ["wiki.example.com"], "rule": [{"allow": "signed_in"}]}])).unwrap();
    let selection = by_path.select(&request.without_method().without_path().overridden(&["DELETE"], &["/x"]));
    assert!(matches!(selection, Selection::Rule { .. }), "no rule looks at either");
    // Rules on methods alone: the query, which can override the method, is not known.
    let by_method = compile(&json!([{
        "hosts": ["wiki.example.com"],
        "rule": [{"methods": ["GET"], "allow": "anyone"}, {"allow": "no_one"}]
    }]));
    let by_method = by_method.unwrap();
    assert!(matches!(by_method.select(&request), Selection::Rule { .. }));
    let selection = by_method.select(&request.without_path());
    assert!(matches!(selection, Selection::Ambiguous { reason: Ambiguity::NoPath, .. }), "{selection:?}");
}

// attack: access.method-in-the-query
#[test]
fn a_parameter_that_overrides_the_method_is_one_however_it_is_spelt() {
    let wiki = wiki();
    for parameter in [
        "_method=DELETE",
        "%5Fmethod=%64elete",
        "_METHOD=DELETE",
        ".method=DELETE",
        "%2Emethod=DELETE",
        "+_method=DELETE",
        "%20_method=DELETE",
        "_method%00x=DELETE",
        "_method[]=DELETE",
        "_method%5B0%5D=DELETE",
        "[_method=DELETE",
        "a=1;_method=DELETE",
        "a=1&_method=GET&_method=DELETE",
        "a?_method=DELETE",
        "a#_method=DELETE",
        "X-HTTP-Method-Override=DELETE",
        "x_http_method_override=DELETE",
        "X.Method.Override=DELETE",
        "_HttpMethod=DELETE",
        "$httpMethod=DELETE",
        "httpMethod=DELETE",
        "method=delete",
        "__method=DELETE",
        "_verb=DELETE",
    ] {
        assert_eq!(rule(&wiki, &format!("/archive/2026?{parameter}"), "GET"), 0, "{parameter}");
    }
    for path in [
        "/archive/2026%3f_method=DELETE",
        "/archive/2026%3Fa&_method=DELETE",
        "/archive/2026;_method=DELETE",
        // Decoded before the application looks for what divides parameters.
        "/archive/2026%3Fa=1%26_method=DELETE",
        "/archive/2026%3Fa%3D1%3B_method=DELETE",
        "/archive/2026%3F_method%3DDELETE",
        "/archive/2026%3Fa=1%23_method=DELETE",
        "/archive/2026%3B_method%3DDELETE",
        "/archive/2026?a=1%26_method=DELETE",
        "/archive/2026?a%3F_method=DELETE",
    ] {
        assert_eq!(rule(&wiki, path, "GET"), 0, "{path}");
    }
    for parameter in
        ["method=email", "methods=DELETE", "a=_method=DELETE", "payment_method=PUT", "_method=get", "method"]
    {
        assert_eq!(rule(&wiki, &format!("/archive/2026?{parameter}"), "GET"), 3, "{parameter}");
    }
}

// attack: access.method
#[test]
fn a_request_with_many_methods_and_paths_costs_no_more() {
    let wiki = wiki();
    let request = Request::new("wiki.example.com", "/hooks/x", "GET");
    let selection = wiki.select(&request.overridden(&["GET"; 100], &["/hooks/y"; 100]));
    assert!(matches!(selection, Selection::Rule { .. }), "each once: {selection:?}");
    let paths: Vec<String> = (0..7).map(|number| format!("/hooks/{number}")).collect();
    let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
    for selection in [
        wiki.select(&request.overridden(&[], &paths)),
        wiki.select(&request.overridden(&[], &[&",".repeat(60_000)])),
        {
            let query =
                ["A", "B", "C", "D", "E", "F", "G", "H"].map(|method| format!("_method={method}")).join("&");
            wiki.select(&Request::new("wiki.example.com", &format!("/hooks/x?{query}"), "GET"))
        },
    ] {
        let Selection::Ambiguous { reason, .. } = selection else { panic!("{selection:?}") };
        assert_eq!(reason, Ambiguity::Overrides);
    }
}

// attack: access.path
#[test]
fn a_path_that_a_header_names_must_lead_to_the_same_rule() {
    let wiki = wiki();
    let request = Request::new("wiki.example.com", "/hooks/x", "GET");
    let select =
        |paths: &[&str]| matches!(wiki.select(&request.overridden(&[], paths)), Selection::Rule { .. });
    assert!(select(&["/hooks/y", "/hooks/x?z"]));
    for path in ["/admin", "/hooks/../admin", "", "\u{e4}", "https://wiki.example.com/admin"] {
        assert!(!select(&["/hooks/y", path]), "{path}");
    }
    assert!(select(&["https://wiki.example.com/hooks/y"]));
    // Proxies join repeated headers, in either order.
    for joined in [
        "/hooks/y,/admin",
        "/admin,/hooks/y",
        "/admin, /hooks/y?",
        "/hooks/y?, /admin",
        "/hooks/y?,admin",
        "/hooks/y, https://wiki.example.com/admin",
        "https://wiki.example.com/hooks/y?,https://wiki.example.com/admin",
        // What stands before `://` is no scheme, or what follows no path.
        "admin?b=://x/hooks/a",
        "://x/hooks/a",
        "http://x#/hooks/a",
        "http://x?/hooks/a",
        "http://x",
    ] {
        assert!(!select(&[joined]), "{joined}");
    }
    assert!(select(&["/hooks/y,/hooks/z"]));
    assert!(select(&["web+wiki://wiki.example.com/hooks/y"]));
    // A part of the path that an application removes.
    let selection = wiki.select(&request.with_prefix());
    assert!(matches!(selection, Selection::Ambiguous { reason: Ambiguity::Prefix, .. }), "{selection:?}");
}

#[test]
fn a_request_that_no_rule_fits_is_refused() {
    let hooks =
        json!([{"hosts": ["hooks.example.com"], "rule": [{"paths": ["/hooks/*"], "allow": "anyone"}]}]);
    let hooks = compile(&hooks).unwrap();
    let selection = hooks.select(&Request::new("hooks.example.com", "/x", "GET"));
    assert!(matches!(selection, Selection::NoRule(application) if application.name() == "hooks.example.com"));
}

#[test]
fn a_refused_user_learns_which_teams_are_enough() {
    let one_of = |teams: &[&str]| Some(MissingTeams::OneOf(teams.iter().map(ToString::to_string).collect()));
    for (rule, teams) in [
        (json!({"teams": ["A"]}), one_of(&["A"])),
        (json!({"teams": ["A", "B"]}), one_of(&["A", "B"])),
        (json!({"all_teams": ["A"]}), one_of(&["A"])),
        (json!({"all_teams": ["A", "B"]}), Some(MissingTeams::AllOf(vec!["A".to_owned(), "B".to_owned()]))),
        (
            json!({"any_of": [{"teams": ["A", "B"]}, {"all_teams": ["C"]}, {"teams": ["A"]}]}),
            one_of(&["A", "B", "C"]),
        ),
        (json!({"any_of": [{"teams": ["A"]}, {"all_teams": ["B", "C"]}]}), None),
        (json!({"any_of": [{"teams": ["A"]}, {"users": ["zoe"]}]}), None),
        (json!({"teams": ["A"], "users": ["ada"]}), None),
        (json!({"teams": ["A"], "kinds": ["admin"]}), None),
        (json!({"teams": ["A"], "all_teams": ["B"]}), None),
        (json!({"allow": "no_one"}), None),
    ] {
        let applications = compile(&json!([{"hosts": ["a.example.com"], "rule": [rule]}])).unwrap();
        let selection = applications.select(&Request::new("a.example.com", "/", "GET"));
        let Selection::Rule { rule: selected, .. } = selection else { panic!("{selection:?}") };
        let stranger = user(&[], UserKind::Regular);
        match selected.check(&Caller::from(&stranger), UnixTime(0)) {
            Err(Denial::Missing(missing)) => assert_eq!(missing.teams(), teams.as_ref(), "{rule}"),
            other => panic!("{rule}: {other:?}"),
        }
    }
}

#[test]
fn conditions_hold_together_and_alternatives_apart() {
    let (regular, admin) = (UserKind::Regular, UserKind::Admin);
    for (rule, teams, kind, admitted) in [
        (json!({"teams": ["A", "B"]}), &["B"][..], regular, true),
        (json!({"teams": ["A", "B"]}), &["b", "C"], regular, false),
        (json!({"all_teams": ["A", "B"]}), &["A", "B", "C"], regular, true),
        (json!({"all_teams": ["A", "B"]}), &["A"], regular, false),
        (json!({"users": ["ada"]}), &[], regular, true),
        (json!({"users": ["Ada"]}), &[], regular, false),
        (json!({"kinds": ["admin", "super-admin"]}), &[], admin, true),
        (json!({"kinds": ["admin"]}), &[], regular, false),
        (json!({"teams": ["A"], "users": ["grace"]}), &["A"], regular, false),
        (json!({"teams": ["A"], "kinds": ["admin"]}), &["A"], admin, true),
        (json!({"any_of": [{"teams": ["A"]}, {"users": ["ada"]}]}), &[], regular, true),
        (
            json!({"any_of": [{"teams": ["A"]}, {"users": ["grace"], "kinds": ["regular"]}]}),
            &[],
            regular,
            false,
        ),
        (json!({"allow": "signed_in"}), &[], regular, true),
        (json!({"allow": "no_one"}), &["A"], admin, false),
    ] {
        assert_eq!(
            rule_of(&one_rule(&rule)).check(&(&user(teams, kind)).into(), T).is_ok(),
            admitted,
            "{rule} {teams:?}"
        );
    }
    let denial = rule_of(&one_rule(&json!({"any_of": [{"all_teams": ["A", "B"]}, {"users": ["grace"]}]})))
        .check(&(&user(&[], regular)).into(), T)
        .unwrap_err();
    assert_eq!(denial.to_string(), "the rule admits all of the teams A and B, or the username grace");
}

#[test]
fn what_one_request_may_cost_is_bounded() {
    let rules = |paths: usize| {
        let paths: Vec<String> = (0..paths).map(|path| format!("/p{path}")).collect();
        compile(&json!([{"hosts": ["wiki.example.com"], "rule": [{"paths": paths, "allow": "anyone"}]}]))
    };
    assert!(rules(1_024).is_ok());
    assert!(rules(1_025).unwrap_err().starts_with("[0].rule: has more than 1024 paths in all"));
    // The paths of headers count as that of the request does.
    let wiki = wiki();
    let [half, rest] = [2_048, 2_049].map(|length| format!("/hooks/{}", "a".repeat(length - 7)));
    let request = Request::new("wiki.example.com", &half, "GET");
    let paths =
        |paths: &[&str]| matches!(wiki.select(&request.overridden(&[], paths)), Selection::Rule { .. });
    assert!(paths(&[&half]));
    assert!(!paths(&[&rest]) && !paths(&[&half, "/hooks"]));
}

#[test]
fn mistakes_have_a_remedy_with_what_to_write() {
    let remedy = |application: Value| {
        let specs: Vec<ApplicationSpec> = serde_json::from_value(json!([application])).unwrap();
        Applications::compile(&specs).unwrap_err().problem.remedy.unwrap_or_default()
    };
    let of_rule = |rule: Value| remedy(json!({"hosts": ["a.example.com"], "rule": [rule]}));
    for (rule, expected) in [
        (json!({"methods": ["get"], "allow": "anyone"}), "methods are compared to the letter: write `GET`"),
        (
            json!({"methods": [" Post"], "allow": "anyone"}),
            "methods are compared to the letter: write `POST`",
        ),
        (json!({"methods": ["GET,POST"], "allow": "anyone"}), "write one such as `GET`"),
        (json!({"methods": [""], "allow": "anyone"}), "write one such as `GET`"),
        (json!({"teams": ["A "]}), "write `A`"),
        (json!({"any_of": [{"users": ["\tada"]}]}), "write `ada`"),
        (json!({"all_teams": ["A", " "]}), "remove it"),
    ] {
        assert_eq!(of_rule(rule.clone()), expected, "{rule}");
    }
    let of_host = |host: &str| remedy(json!({"hosts": [host], "rule": [{"allow": "anyone"}]}));
    for (host, expected) in [
        ("2001:DB8:0::1", "write `[2001:db8::1]`"),
        ("*.::1", "write `[::1]`"),
        ("*.[::1]", "write `[::1]`"),
        ("*.127.0.0.1", "write `127.0.0.1`"),
        ("a.example.com:443", "write it without scheme, port and path"),
    ] {
        assert_eq!(of_host(host), expected, "{host}");
    }
    let mut stray =
        json!({"hosts": ["a.example.com"], "assertion_audience": "a", "rule": [{"allow": "anyone"}]});
    let expected =
        "remove it, or write a [[headers.header]] or [[application.headers.header]] with that value";
    assert_eq!(remedy(stray.clone()), expected);
    stray["assertion_audience"] = json!("");
    assert!(remedy(stray).starts_with("write the audience, or remove it"));
}

#[test]
fn mistakes_are_named() {
    let rules = |rules: Value| compile(&json!([{"hosts": ["a.example.com"], "rule": rules}])).unwrap_err();
    for (written, error) in [
        (json!([{}]), "[0].rule[0]: says nothing of who is admitted"),
        (json!([{"allow": "anyone", "teams": ["A"]}]), "[0].rule[0].allow: stands beside a condition"),
        (json!([{"teams": ["A"], "any_of": [{"users": ["b"]}]}]), "[0].rule[0].any_of: stands beside"),
        (json!([{"any_of": [{}]}]), "[0].rule[0].any_of[0]: is an empty condition"),
        (json!([{"kinds": ["root"]}]), "[0].rule[0].kinds[0]: `root` is no kind"),
        (json!([{"teams": ["A "]}]), "[0].rule[0].teams[0]: is empty, or begins or ends with white space"),
        (json!([{"paths": [], "allow": "anyone"}]), "[0].rule[0].paths: is empty"),
        (json!([{"methods": [], "allow": "anyone"}]), "[0].rule[0].methods: is empty"),
        (json!([{"methods": ["get"], "allow": "anyone"}]), "[0].rule[0].methods[0]: `get` is no method"),
        (
            json!([{"paths": ["admin/*"], "allow": "anyone"}]),
            "[0].rule[0].paths[0]: `admin/*` does not begin",
        ),
        (json!([{"paths": ["/a*"], "allow": "anyone"}]), "[0].rule[0].paths[0]: `/a*` has `*` within a name"),
        (json!([{"paths": ["/a?b"], "allow": "anyone"}]), "[0].rule[0].paths[0]: `/a?b` has a query"),
        (
            json!([{"paths": ["/a/../b"], "allow": "anyone"}]),
            "[0].rule[0].paths[0]: `/a/../b` has a segment of dots",
        ),
        (
            json!([{"paths": ["/a%2fb"], "allow": "anyone"}]),
            "[0].rule[0].paths[0]: `/a%2fb` has an encoded slash",
        ),
        (
            json!([{"paths": ["/%C2%A5"], "allow": "anyone"}]),
            "[0].rule[0].paths[0]: `/%C2%A5` has an encoded slash or percent sign, `;`, `//`, or a yen or won sign",
        ),
        (json!([{"allow": "signed_in"}, {"teams": ["A"]}]), "[0].rule[1]: can never decide: rule 1"),
        (
            json!([{"paths": ["/a/*"], "allow": "anyone"}, {"paths": ["/b", "/a/b/*"], "teams": ["A"]}]),
            "[0].rule[1].paths[1]: can never decide: rule 1",
        ),
        (
            json!([{"methods": ["GET"], "allow": "anyone"}, {"methods": ["HEAD"], "paths": ["/x"], "teams": ["A"]}]),
            "[0].rule[1]: can never decide: rule 1",
        ),
        (
            json!([{"paths": ["/*"], "allow": "signed_in"}, {"teams": ["A"]}]),
            "[0].rule[1]: can never decide: rule 1 fits",
        ),
        (
            json!([
                {"methods": ["GET"], "allow": "signed_in"},
                {"methods": ["POST"], "paths": ["/*"], "allow": "signed_in"},
                {"methods": ["POST", "HEAD", "GET"], "teams": ["A"]},
            ]),
            "[0].rule[2]: can never decide: rules 1 and 2 fit",
        ),
        (
            json!([
                {"methods": ["GET"], "paths": ["/a/*"], "allow": "signed_in"},
                {"methods": ["POST"], "allow": "signed_in"},
                {"methods": ["POST", "GET"], "paths": ["/b", "/a/b"], "teams": ["A"]},
            ]),
            "[0].rule[2].paths[1]: can never decide: rules 1 and 2 fit",
        ),
    ] {
        let message = rules(written.clone());
        assert!(message.starts_with(error), "{written}: {message}");
    }
    let reachable = json!([
        {"paths": ["/a/*"], "methods": ["GET"], "allow": "anyone"},
        {"paths": ["/a/*"], "teams": ["A"]},
        {"paths": ["/a"], "methods": ["POST"], "teams": ["B"]},
    ]);
    assert!(rules(reachable).starts_with("[0].rule[2].paths[0]: can never decide: rule 2"));
    for (applications, error) in [
        (json!([{"rule": [{"allow": "anyone"}]}]), "[0].hosts: is missing"),
        (json!([{"hosts": ["a.example.com"]}]), "[0].rule: is missing"),
        (
            json!([{"hosts": ["https://a.example.com"], "rule": [{"allow": "anyone"}]}]),
            "[0].hosts[0]: `https:",
        ),
        (
            json!([
                {"hosts": ["a.example.com"], "rule": [{"allow": "anyone"}]},
                {"hosts": ["b.example.com", "A.example.com"], "rule": [{"allow": "anyone"}]},
            ]),
            "[1].hosts[1]: `A.example.com` is written twice",
        ),
    ] {
        let message = compile(&applications).unwrap_err();
        assert!(message.starts_with(error), "{message}");
    }
}

/// Reads a path as an application does that makes some of the usual choices.
fn as_an_application_reads(path: &str, choices: u8) -> String {
    let decode = |text: &str| {
        let mut bytes = Vec::new();
        let mut rest = text.as_bytes();
        while let [byte, behind @ ..] = rest {
            rest = behind;
            let digits = behind.get(..2).and_then(|pair| std::str::from_utf8(pair).ok());
            match digits.and_then(|pair| u8::from_str_radix(pair, 16).ok()).filter(|_| *byte == b'%') {
                Some(decoded) => {
                    bytes.push(decoded);
                    rest = &behind[2..];
                }
                None => bytes.push(*byte),
            }
        }
        String::from_utf8_lossy(&bytes).into_owned()
    };
    let without_parameters = |text: &str| {
        text.split('/').map(|name| name.split(';').next().unwrap()).collect::<Vec<_>>().join("/")
    };
    let mut text = path.to_owned();
    if choices & 16 != 0
        && let Some(address) = text.strip_prefix("//")
    {
        text = address.find('/').map_or(String::from("/"), |slash| address[slash..].to_owned());
    }
    if choices & 2 != 0 && choices & 32 != 0 {
        text = without_parameters(&text);
    }
    if choices & 1 != 0 {
        text = decode(&text);
        if choices & 64 != 0 {
            text = text.split(['?', '#']).next().unwrap().to_owned();
        }
    }
    if choices & 2 != 0 && choices & 32 == 0 {
        text = without_parameters(&text);
    }
    if choices & 1 == 0 {
        // Decoded after it was split: an encoded slash stays within its name.
        text = text.split('/').map(|name| decode(name).replace('/', "\u{1}")).collect::<Vec<_>>().join("/");
    }
    if choices & 128 != 0 {
        text = text.replace(['\u{a5}', '\u{2216}'], "/");
    }
    let mut names: Vec<&str> = Vec::new();
    for name in text.split('/').skip(1) {
        match name {
            "." => {}
            ".." => drop(names.pop()),
            "" if choices & 4 != 0 => {}
            name => names.push(name),
        }
    }
    let text = names.join("/");
    if choices & 8 != 0 { text.to_lowercase() } else { text }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    /// Whatever an application takes for `/admin` never gets through by another rule.
    #[test]
    fn no_reading_reaches_the_administration_by_another_rule(
        parts in prop::collection::vec(
            prop::sample::select(vec![
                "/", "admin", "ADMIN", "%61dmin", "health", "hooks", "x", ".", "..", ";", ";y", "%2e", "%2f", "%2F",
                "%3b", "%3f", "%23", "%25", "//", "%20", "%252f", "?", "\\", "api", "secret", ".json",
                "%C2%A5", "%E2%88%96",
            ]),
            1..9,
        ),
        choices in 0_u8..=255,
    ) {
        let path = format!("/{}", parts.concat());
        let read = as_an_application_reads(path.split('?').next().unwrap(), choices);
        let is_admin = read == "admin" || read.starts_with("admin/") || read == "admin.json";
        let is_secret = read.strip_prefix("api/").and_then(|rest| rest.strip_suffix("/secret"))
            .is_some_and(|name| !name.is_empty() && !name.contains('/'));
        if is_admin || is_secret {
            prop_assert!(matches!(rule(&wiki(), &path, "GET"), 0 | 2), "{} is read as {}", path, read);
        }
    }
}

#[test]
fn no_two_applications_accept_the_same_assertions() {
    let application = |name: &str, audience: Option<&str>| {
        json!({
            "name": name,
            "hosts": [format!("{name}.example.com")],
            "headers": {"header": [{"name": "X-Assertion", "value": "assertion"}]},
            "assertion_audience": audience,
            "rule": [{"allow": "signed_in"}],
        })
    };
    let two = |one, other| compile(&json!([application("one", one), application("other", other)]));
    let applications = two(None, Some("https://other.example.com")).unwrap();
    let audiences: Vec<_> = applications.iter().map(|application| application.assertion_audience()).collect();
    assert_eq!(audiences, ["one", "https://other.example.com"]);
    for (one, other, reason) in [
        (None, Some("one"), "[1].assertion_audience: another application has this audience"),
        (Some("a"), Some("a"), "[1].assertion_audience: another application has this audience"),
        (Some(""), None, "[0].assertion_audience: is empty"),
    ] {
        let error = two(one, other).unwrap_err();
        assert!(error.starts_with(reason), "{error}");
    }
    let mut plain = application("one", Some("a"));
    plain["headers"] = json!({});
    let error = compile(&json!([plain])).unwrap_err();
    assert!(error.starts_with("[0].assertion_audience: is written, and no header"), "{error}");
}

/// Returns the only rule of an application.
fn rule_of(applications: &Applications) -> &Rule {
    match applications.select(&Request::new("a.example.com", "/", "GET")) {
        Selection::Rule { rule, .. } => rule,
        other => panic!("{other:?}"),
    }
}

fn one_rule(rule: &Value) -> Applications {
    compile(&json!([{"hosts": ["a.example.com"], "bearer_audience": ["a"], "rule": [rule]}])).unwrap()
}

const T: UnixTime = UnixTime(1_800_000_000);

/// What a session keeps of a sign-in with these claims, for rules that look at `paths`.
fn facts(authenticated: Option<i64>, claims: &Value, paths: &[&str]) -> SessionFacts {
    let paths: Vec<ClaimPath> = paths.iter().map(|path| ClaimPath::parse(path).unwrap()).collect();
    let claims = KeptClaims::of(claims, &paths).0;
    SessionFacts { authenticated: authenticated.map(UnixTime), claims }
}

#[test]
fn an_authentication_must_be_recent_enough() {
    let applications = one_rule(&json!({"allow": "signed_in", "max_age": "5m"}));
    let (rule, ada) = (rule_of(&applications), user(&[], UserKind::Regular));
    let check =
        |authenticated| rule.check(&Caller::of_session(&ada, &facts(authenticated, &json!({}), &[])), T);
    assert_eq!(check(Some(T.0 - 360)), Ok(()), "the clocks may be a minute apart");
    assert_eq!(check(Some(T.0 + 5)), Ok(()));
    assert_eq!(check(Some(T.0 + 60)), Ok(()), "and the provider's may be ahead");
    for (authenticated, reason) in [
        // It would be recent for as long as it lies ahead.
        (Some(T.0 + 61), "the time of the authentication is in the future"),
        (Some(i64::MAX), "the time of the authentication is in the future"),
        (Some(T.0 - 361), "the person authenticated 361 s ago"),
        (None, "it is not known when the person authenticated"),
    ] {
        let denial = check(authenticated).unwrap_err();
        let said = format!("the rule demands an authentication at most 300 s ago: {reason}");
        assert_eq!(denial.to_string(), said);
        let Denial::Authentication(insufficient) = denial else { panic!("{denial}") };
        assert_eq!(insufficient.wanted.max_age, Some(Duration::from_secs(300)));
    }
    // A bearer token says it itself.
    let token = |claims: Value| Claims::parse(claims.to_string().as_bytes(), &Limits::DEFAULT).unwrap();
    let recent = token(json!({"iat": T.0, "auth_time": T.0 - 300}));
    assert_eq!(rule.check(&Caller::of_token(Some(&ada), &recent), T), Ok(()));
    let silent = token(json!({"iat": T.0}));
    assert!(matches!(rule.check(&Caller::of_token(Some(&ada), &silent), T), Err(Denial::Authentication(_))));
}

#[test]
fn an_authentication_must_be_of_a_class() {
    let applications = one_rule(&json!({"allow": "signed_in", "acr": ["phr", "mfa"]}));
    let (rule, ada) = (rule_of(&applications), user(&[], UserKind::Regular));
    let paths: Vec<String> =
        applications.claim_paths(&Headers::default()).iter().map(|path| path.as_str().to_owned()).collect();
    assert_eq!(paths, ["acr"]);
    assert!(applications.demands_context("mfa") && !applications.demands_context("pwd"));
    for (claims, paths, is_admitted) in [
        (json!({"acr": "mfa"}), &["acr"][..], true),
        (json!({"acr": "pwd"}), &["acr"], false),
        (json!({"acr": ["mfa"]}), &["acr"], false),
        (json!({}), &["acr"], false),
        (json!({"acr": "mfa"}), &[], false),
    ] {
        let result = rule.check(&Caller::of_session(&ada, &facts(None, &claims, paths)), T);
        match result {
            Ok(()) => assert!(is_admitted, "{claims}"),
            Err(Denial::Authentication(insufficient)) => {
                assert!(!is_admitted, "{claims}");
                assert_eq!(insufficient.wanted.acr, ["phr", "mfa"]);
            }
            Err(denial) => panic!("{denial}"),
        }
    }
}

#[test]
fn claims_of_the_sign_in_are_conditions() {
    let rule = json!({"any_of": [
        {"teams": ["A"], "claim": [{"path": "hd", "one_of": ["example.com"]}]},
        {"claim": [{"path": "$.realm.roles[*]", "contains": "admin"}]},
    ]});
    let applications = one_rule(&rule);
    let (rule, paths) = (rule_of(&applications), ["hd", "$.realm.roles[*]"]);
    let check = |teams: &[&str], claims: Value, paths: &[&str]| {
        rule.check(&Caller::of_session(&user(teams, UserKind::Regular), &facts(None, &claims, paths)), T)
    };
    assert_eq!(check(&["A"], json!({"hd": "example.com"}), &paths), Ok(()));
    assert_eq!(check(&[], json!({"realm": {"roles": ["x", "admin"]}}), &paths), Ok(()));
    let denial = check(&[], json!({"hd": "example.com"}), &paths).unwrap_err();
    let said = "the rule admits the team A and the claim `hd`, which must be one of \"example.com\", or the claim \
        `$.realm.roles[*]`, which must be or contain \"admin\"";
    assert_eq!(denial.to_string(), said);
    // A session that is older than the condition: a new sign-in keeps the claim.
    let denial = check(&["A"], json!({"hd": "example.com"}), &[]).unwrap_err();
    assert!(
        matches!(&denial, Denial::Authentication(insufficient) if insufficient.wanted.is_empty()),
        "{denial}"
    );
    // A bearer token's own claims, with or without a user.
    let token = json!({"realm": {"roles": ["admin"]}}).to_string();
    let token = Claims::parse(token.as_bytes(), &Limits::DEFAULT).unwrap();
    assert_eq!(rule.check(&Caller::of_token(None, &token), T), Ok(()));
    assert!(
        rule.check(&Caller::of_token(None, &Claims::parse(b"{}", &Limits::DEFAULT).unwrap()), T).is_err()
    );
}

#[test]
fn what_an_application_demands_holds_for_its_rules() {
    let applications = compile(&json!([{
        "hosts": ["a.example.com"],
        "max_age": "1h",
        "acr": ["mfa"],
        "claim": [{"path": "hd", "one_of": ["example.com"]}],
        "rule": [
            {"paths": ["/open"], "allow": "anyone"},
            {"paths": ["/pay"], "teams": ["A"], "max_age": "5m"},
            {"allow": "signed_in"},
        ],
    }]))
    .unwrap();
    let rules = applications.iter().next().unwrap().rules();
    let ages: Vec<_> =
        rules.iter().map(|rule| rule.authentication().max_age.map(|age| age.as_secs())).collect();
    assert_eq!(ages, [None, Some(300), Some(3600)]);
    assert_eq!(rules[0].check(&Caller::default(), T), Ok(()));
    let ada = user(&[], UserKind::Regular);
    let of = |claims: Value| facts(Some(T.0), &claims, &["acr", "hd"]);
    let both = of(json!({"acr": "mfa", "hd": "example.com"}));
    assert_eq!(rules[2].check(&Caller::of_session(&ada, &both), T), Ok(()));
    // No one is asked to authenticate again who would be refused afterwards.
    let stale = SessionFacts { authenticated: None, ..of(json!({"hd": "example.org"})) };
    let denial = rules[2].check(&Caller::of_session(&ada, &stale), T).unwrap_err();
    assert_eq!(
        denial.to_string(),
        "the rule admits those with the claim `hd`, which must be one of \"example.com\""
    );
    assert!(matches!(rules[1].check(&Caller::of_session(&ada, &both), T), Err(Denial::Missing(_))));
}

#[test]
fn mistakes_in_demands_are_named() {
    for (rule, error) in [
        (json!({"allow": "anyone", "max_age": 60}), "[0].rule[0].max_age: is of no use"),
        (json!({"allow": "no_one", "acr": ["a"]}), "[0].rule[0].acr: is of no use"),
        (json!({"allow": "signed_in", "max_age": 9}), "[0].rule[0].max_age: must be at least 10 seconds"),
        (json!({"allow": "signed_in", "acr": []}), "[0].rule[0].acr: names no class"),
        (json!({"allow": "signed_in", "acr": ["a b"]}), "[0].rule[0].acr[0]: is no authentication context"),
        (json!({"allow": "signed_in", "acr": ["a\""]}), "[0].rule[0].acr[0]: is no authentication context"),
        (
            json!({"allow": "signed_in", "claim": [{"path": "a", "contains": "b"}]}),
            "[0].rule[0].allow: stands",
        ),
        (json!({"claim": [{"path": "a"}]}), "[0].rule[0].claim[0].one_of: is missing"),
        (json!({"any_of": [{"claim": [{"path": "$["}]}]}), "[0].rule[0].any_of[0].claim[0].path: `$[`"),
    ] {
        let message = compile(&json!([{"hosts": ["a.example.com"], "rule": [rule]}])).unwrap_err();
        assert!(message.starts_with(error), "{message}");
    }
}

#[test]
fn a_request_is_refused_whose_readings_demand_another_authentication() {
    let applications = compile(&json!([{"hosts": ["a.example.com"], "rule": [
        {"paths": ["/pay"], "allow": "signed_in", "max_age": "5m"},
        {"allow": "signed_in"},
    ]}]))
    .unwrap();
    for (path, number) in [("/pay", Some(1)), ("/x", Some(2)), ("/%70ay", None), ("/PAY", None)] {
        let selected = match applications.select(&Request::new("a.example.com", path, "GET")) {
            Selection::Rule { rule, .. } => Some(rule.number()),
            _ => None,
        };
        assert_eq!(selected, number, "{path}");
    }
}
