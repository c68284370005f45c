//! `claimgate mapping test`.

use serde_json::json;

use super::support::*;

const CONFIG: &str = r#"
[[provider]]
issuer = "https://idp.example.com"
client_id = "crm"

[identity]
username = "preferred_username"
groups = ["groups"]
default_teams = ["Everybody"]
admin_groups = ["admins"]

[[identity.team]]
group = "admins"
team = "Administrators"
"#;

const CASES: &str = r#"
[[case]]
name = "an administrator"
claims = { sub = "1", preferred_username = "Ada", email = "ada@example.com", groups = ["admins", "x"] }
username = "ada"
teams = ["Everybody", "Administrators"]
admin = true
profile = { email = "ada@example.com" }

[[case]]
name = "without a name"
claims_file = "nameless.json"
refused = "identity.no_username"
"#;

// finding: N5
#[test]
fn cases_that_hold_pass_and_others_are_named_with_what_was_found() {
    let folder = Folder::new();
    let config = folder.write("claimgate.toml", CONFIG);
    folder.write("nameless.json", r#"{"sub": "2"}"#);
    let test = |cases: &str, format: &str| {
        let file = folder.write("cases.toml", cases);
        run(&["mapping", "test", &file, "--config", &config, "--format", format])
    };
    let passed = test(CASES, "text");
    assert_eq!(
        (passed.code, passed.out.as_str()),
        (0, "ok      an administrator\nok      without a name\n"),
        "{}",
        passed.err
    );

    let wrong = CASES
        .replace("\"Administrators\"]", "\"Editors\"]")
        .replace("username = \"ada\"", "username = \"Ada\"");
    let failed = test(&wrong, "text");
    assert_eq!(failed.code, 1);
    assert!(failed.err.contains("error[mapping.unexpected]: 1 of 2 cases not as expected"), "{}", failed.err);
    assert_eq!(
        failed.out,
        "FAILED  an administrator\n        username: expected \"Ada\", found \"ada\"\n        \
         teams: expected [\"Editors\", \"Everybody\"], found [\"Administrators\", \"Everybody\"]\n\
         ok      without a name\n"
    );
    let json = test(&wrong, "json").json();
    let differences = [
        "username: expected \"Ada\", found \"ada\"",
        "teams: expected [\"Editors\", \"Everybody\"], found [\"Administrators\", \"Everybody\"]",
    ];
    let cases = json!([
        { "name": "an administrator", "ok": false, "differences": differences },
        { "name": "without a name", "ok": true, "differences": [] },
    ]);
    assert_eq!(json, json!({ "cases": cases }));
    let junit = test(&wrong.replace("an administrator", "a <b> & c"), "junit");
    assert!(
        junit
            .out
            .starts_with("<?xml version=\"1.0\" encoding=\"UTF-8\"?><testsuites tests=\"2\" failures=\"1\">")
    );
    assert!(
        junit
            .out
            .contains("name=\"a &lt;b&gt; &amp; c\"><failure message=\"username: expected &quot;Ada&quot;")
    );

    let refused = test(&CASES.replace("identity.no_username", "identity.no_team"), "text");
    assert!(
        refused.out.contains("expected the refusal identity.no_team, found identity.no_username"),
        "{}",
        refused.out
    );
    let admitted = test(
        &CASES.replace("claims_file = \"nameless.json\"", "claims = { preferred_username = \"x\" }"),
        "text",
    );
    assert!(admitted.out.contains("expected the refusal identity.no_username, found the username \"x\""));
}

// attack: logs.escape-sequences
#[test]
fn no_text_of_a_case_steers_a_terminal() {
    let folder = Folder::new();
    let config = folder.write("claimgate.toml", CONFIG);
    let cases = "[[case]]\nname = \"a\\u001b]0;b\\u0007\\u009b1m\\u202e\"\nclaims = { sub = \"1\" }\nusername = \"\\u001bx\"\n";
    let file = folder.write("cases.toml", cases);
    let tested = run(&["mapping", "test", &file, "--config", &config]);
    let shown = tested.out + &tested.err;
    assert!(shown.contains("\\u{1b}]0;b\\u{7}"), "{shown}");
    assert!(!shown.chars().any(|c| c != '\n' && claimgate::text::is_unsafe(c)), "{shown:?}");
}

#[test]
fn a_mistake_in_a_case_is_wrong_usage() {
    let folder = Folder::new();
    let config = folder.write("claimgate.toml", CONFIG);
    for (cases, message) in [
        ("", "has no [[case]]"),
        ("[[case]]\nname = \"x\"\nclaims = {}\n", "[[case]] `x`: write what is expected"),
        ("[[case]]\nname = \"x\"\nusername = \"y\"\n", "[[case]] `x`: write one of claims and claims_file"),
        (
            "[[case]]\nname = \"x\"\nclaims_file = \"none.json\"\nusername = \"y\"\n",
            "none.json: No such file",
        ),
        (
            "[[case]]\nname = \"x\"\nclaims = {}\nprovider = \"z\"\nusername = \"y\"\n",
            "there is no provider `z`",
        ),
        ("[[case]]\nname = \"x\"\nclaim = {}\n", "unknown field `claim`"),
        (
            "[[case]]\nname = \"x\"\nclaims = {}\nusername = \"y\"\nrefused = \"z\"\n",
            "write what is expected",
        ),
    ] {
        let file = folder.write("cases.toml", cases);
        let done = run(&["mapping", "test", &file, "--config", &config]);
        assert!(
            done.code == 2 && done.err.contains(message) && done.err.contains("cases.toml"),
            "{cases}: {}",
            done.err
        );
    }
}

#[test]
fn claims_that_the_provider_must_have_are_demanded_of_a_case() {
    let folder = Folder::new();
    let demand = "[[provider.claim]]\npath = \"hd\"\none_of = [\"example.com\"]\n\n[identity]";
    let config = folder.write("claimgate.toml", CONFIG.replace("[identity]", demand));
    let test = |hd: &str, expected: &str| {
        let case = format!(
            "[[case]]\nname = \"x\"\nclaims = {{ preferred_username = \"ada\", hd = \"{hd}\" }}\n{expected}\n"
        );
        let file = folder.write("cases.toml", &case);
        run(&["mapping", "test", &file, "--config", &config])
    };
    for (hd, expected, code) in [
        ("example.com", "username = \"ada\"", 0),
        ("evil.example", "username = \"ada\"", 1),
        ("evil.example", "refused = \"claims.value\"", 0),
        ("example.com", "refused = \"claims.value\"", 1),
    ] {
        let done = test(hd, expected);
        assert_eq!(done.code, code, "{hd}, {expected}: {}{}", done.out, done.err);
    }
    let rules =
        "\n[[application]]\nhosts = [\"wiki.example.com\"]\n[[application.rule]]\nallow = \"signed_in\"\n";
    let text = CONFIG.replace("[identity]", demand) + rules;
    let config = folder.write("claimgate.toml", &text);
    let explain = |hd: &str| {
        let claims = format!(r#"{{"preferred_username": "ada", "hd": "{hd}"}}"#);
        run(&["explain", "--config", &config, "--url", "https://wiki.example.com/", &claims])
    };
    assert_eq!(explain("example.com").code, 0, "{}", explain("example.com").err);
    let refused = explain("evil.example");
    assert_eq!(refused.code, 1);
    assert!(
        refused.err.contains("error[claims.value]: a sign-in with these claims would be refused"),
        "{}",
        refused.err
    );
}
