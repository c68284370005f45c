//! Who may use applications and the administration: `[[application]]` and `[[admin_client]]`.
#![allow(clippy::unwrap_used)]

use super::configuration::{self, PROVIDER, parse};

// attack: administration.token-of-another-purpose
#[test]
fn a_client_of_the_administration_has_a_client_and_an_audience_of_its_own() {
    let provider =
        "[[provider]]\nissuer = \"https://idp.example.com\"\nclient_id = \"crm\"\nclient_secret = \"s\"\n";
    let verify = "[provider.verify]\nkind = \"access_token\"\naudience = \"https://services\"\n";
    let application = "[[application]]\nhosts = [\"a.example.com\"]\nbearer_audience = [\"https://a\"]\nrule = [{ allow = \"signed_in\" }]\n";
    let parse = |verify: &str, client: &str| {
        let text = format!("{provider}{verify}{application}[[admin_client]]\n{client}\n");
        configuration::parse(&text)
    };
    let config = parse(verify, "client = \"backup\"\naudience = \"https://sso/api\"").unwrap();
    let [client] = config.admin_clients.as_slice() else { panic!("one client") };
    assert_eq!(
        (client.client.as_str(), client.subject.as_str(), client.provider.as_str(), client.read_only),
        ("backup", "backup", "oidc", true)
    );
    let config = parse(verify, "client = \"b\"\nsubject = \"account of b\"\naudience = \"x\"").unwrap();
    assert_eq!(config.admin_clients[0].subject, "account of b");
    for (verify, client, said) in [
        (verify, "audience = \"x\"", "admin_client[0].client: is missing"),
        (verify, "client = \"backup\"", "admin_client[0].audience: is missing"),
        (verify, "client = \"b\"\nsubject = \"\"\naudience = \"x\"", "admin_client[0].subject: is empty"),
        (verify, "client = \"crm\"\naudience = \"x\"", "is the client by which people sign in"),
        (verify, "client = \"backup\"\naudience = \"https://a\"", "is also an audience of an application"),
        (
            verify,
            "client = \"backup\"\naudience = \"https://services\"",
            "is also an audience of /api/v1/verify",
        ),
        (
            verify,
            "client = \"backup\"\naudience = \"x\"\nprovider = \"other\"",
            "`other` is no `id` of a provider: oidc",
        ),
        ("", "client = \"backup\"\naudience = \"x\"", "are no access tokens"),
        (
            verify,
            "client = \"b\"\naudience = \"x\"\n[[admin_client]]\nclient = \"b\"\naudience = \"y\"",
            "admin_client[1].client: another [[admin_client]] names this client",
        ),
    ] {
        let error = parse(verify, client).unwrap_err().to_string();
        assert!(error.contains(said), "{error}");
    }
}

#[test]
fn headers_name_the_claims_that_sessions_keep() {
    let with = |headers: &str, application: &str| {
        parse(&format!(
            "{PROVIDER}[[application]]\nhosts = [\"a.example.com\"]\nrule = [{{ allow = \"signed_in\" }}]\n{application}[headers]\n{headers}"
        ))
    };
    let own =
        "headers = { header = [{ name = \"X-Roles\", claim = \"$.realm.roles[*]\", separator = \";\" }] }\n";
    let shared = "header = [{ name = \"X-Org\", claim = \"hd\" }, { name = \"X-Sub\", claim = \"sub\" }]";
    let config = with(shared, own).unwrap();
    let kept: Vec<&str> = config.kept_claims.iter().map(|path| path.as_str()).collect();
    assert_eq!(kept, ["$.realm.roles[*]", "hd", "sub"]);
    let notes = with("header = [{ name = \"X\", claim = \"realm.roles\" }]", "").unwrap().notes;
    assert!(notes.iter().any(|note| note.to_string().contains("`$.realm.roles`")), "{notes:?}");
    for (header, said) in [
        ("", "headers.header[0]: says nothing of what is in the header"),
        (", value = \"id\", claim = \"sub\"", "headers.header[0].claim: stands beside `value`"),
        (", claim = \"$.\"", "headers.header[0].claim: "),
        (", claim = \"\"", "headers.header[0].claim: "),
        (", value = \"id\", separator = \";\"", "headers.header[0].separator: separates teams or the values"),
    ] {
        let error = with(&format!("header = [{{ name = \"X\"{header} }}]"), "").unwrap_err().to_string();
        assert!(error.contains(said), "{error} should say {said}");
    }
}

#[test]
fn rules_of_access_name_the_claims_that_sessions_keep() {
    let with = |application: &str, rule: &str| {
        parse(&format!(
            "{PROVIDER}[[application]]\nhosts = [\"a.example.com\"]\n{application}[[application.rule]]\n{rule}"
        ))
    };
    let application = "acr = [\"mfa\"]\nmax_age = \"1h\"\n[[application.claim]]\npath = \"hd\"\none_of = [\"example.com\"]\n";
    let rule = "any_of = [{ claim = [{ path = \"$.roles[*]\", contains = \"a\" }] }, { teams = [\"A\"] }]\n";
    let config = with(application, rule).unwrap();
    let kept: Vec<&str> = config.kept_claims.iter().map(|path| path.as_str()).collect();
    assert_eq!(kept, ["$.roles[*]", "hd", "acr"]);
    let claim = "[[application.rule.claim]]\npath = \"realm.roles\"\ncontains = \"a\"\n";
    let notes = with("", claim).unwrap().notes;
    assert!(notes.iter().any(|note| note.to_string().contains("`$.realm.roles`")), "{notes:?}");
    for (rule, said) in [
        ("claim = [{ path = \"hd\", oneof = [1] }]", "unknown setting; did you mean `one_of`?"),
        ("[application.rule.claim]\npath = \"hd\"", "write [[application.rule.claim]] in double brackets"),
        ("claim = [{ path = \"hd\" }]", "application[0].rule[0].claim[0].one_of: is missing"),
        ("allow = \"signed_in\"\nmax_age = \"9s\"", "application[0].rule[0].max_age: must be at least 10"),
        ("allow = \"signed_in\"\nmax_age = \"9\"", "expected whole seconds such as 90"),
    ] {
        let error = with("", rule).unwrap_err().to_string();
        assert!(error.contains(said), "{error} should say {said}");
    }
}

#[test]
fn applications_that_cannot_be_used_as_they_are_meant_are_warned_of() {
    let notes = |server: &str, application: &str| -> Vec<String> {
        let text = format!(
            "[server]\npublic_url = \"https://sso.example.com{server}\ndatabase = \"x.db\"\n\n{PROVIDER}\
             [[application]]\n{application}\n"
        );
        parse(&text).unwrap().notes.iter().map(ToString::to_string).collect()
    };
    let signed_in = "rule = [{ allow = \"signed_in\" }]";
    let shared = "\"\ncookie_domain = \"example.com\"";
    for (server, application, said) in [
        ("\"", format!("hosts = [\"wiki.example.com\"]\n{signed_in}"), Some("no session of sso.example.com")),
        (
            shared,
            format!("hosts = [\"wiki.example.com\", \"wiki.example.net\"]\n{signed_in}"),
            Some("hosts[1]: warning: browsers send `wiki.example.net` no session of example.com"),
        ),
        (shared, format!("hosts = [\"*.example.com\"]\n{signed_in}"), None),
        (
            "\"",
            format!("hosts = [\"a.example.com\", \"b.example.com\", \"c.example.com\"]\n{signed_in}"),
            Some("browsers send `a.example.com` and 2 other hosts no session"),
        ),
        (shared, format!("hosts = [\"SSO.example.com\"]\n{signed_in}"), Some("is the host of `public_url`")),
        ("/sso\"", format!("hosts = [\"sso.example.com\"]\n{signed_in}"), None),
        ("\"", "hosts = [\"status.example.net\"]\nrule = [{ allow = \"anyone\" }]".to_owned(), None),
        (
            "\"",
            format!("hosts = [\"api.example.net\"]\nbearer_audience = [\"https://api\"]\n{signed_in}"),
            None,
        ),
        (
            shared,
            format!("hosts = [\"api.example.com\"]\nbearer_audience = [\"crm\"]\n{signed_in}"),
            Some("`crm` is the client of `oidc`: the ID token of every sign-in"),
        ),
        (
            shared,
            "hosts = [\"a.example.com\"]\nrule = [{ any_of = [{ teams = [\"A\"] }, { kinds = [\"api\"] }] }]"
                .to_owned(),
            Some("rule[0].any_of[1].kinds: warning: no one of these kinds signs in"),
        ),
        (shared, "hosts = [\"a.example.com\"]\nrule = [{ kinds = [\"admin\", \"api\"] }]".to_owned(), None),
    ] {
        let notes = notes(server, &application);
        let of_application: Vec<_> = notes.iter().filter(|note| note.contains("application[0]")).collect();
        match said {
            Some(said) => {
                assert!(of_application.iter().any(|note| note.contains(said)), "{application}: {notes:?}");
            }
            None => assert!(of_application.is_empty(), "{application}: {notes:?}"),
        }
    }
}
