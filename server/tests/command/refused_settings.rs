//! Settings of the configuration file that cannot work, and what their errors say.
#![allow(clippy::unwrap_used)]

use super::configuration::{PROVIDER, parse};

/// A setting that cannot work is an error at the start, with its place, and not a surprise later.
#[test]
fn settings_that_cannot_work_are_refused() {
    let server = "[server]\npublic_url = \"https://sso.example.com\"\n";
    let secret = "client_secret = \"a secret\"\n";
    let long_parameter = format!("authorization_parameters = {{ hd = \"{}\" }}\n", "a".repeat(513));
    let many = (0..17).map(|number| format!("p{number} = \"1\"")).collect::<Vec<_>>().join(", ");
    let many_parameters = format!("authorization_parameters = {{ {many} }}\n");
    let ways = "discovery = false\nauthorization_endpoint = \"https://idp.example.com/a\"\ntoken_endpoint = \"https://idp.example.com/t\"\n";
    for (start, provider, names) in [
        ("[server]\npublic_url = \"http://sso.example.com\"\n", "", "server.public_url"),
        ("[server]\npublic_url = \"https://sso.example.com/?a\"\n", "", "server.public_url"),
        ("[server]\npublic_url = \"https://u:p@sso.example.com\"\n", "", "server.public_url"),
        ("[server]\npublic_url = \"javascript:x\"\n", "", "server.public_url"),
        (&format!("{server}listen = \"8080\"\n"), "", "server.listen"),
        (&format!("{server}tls_key = \"k.pem\"\n"), "", "server.tls_certificate"),
        (&format!("{server}cookie_domain = \"example.org\"\n"), "", "server.cookie_domain"),
        (&format!("{server}cookie_domain = \"com\"\n"), "", "server.cookie_domain"),
        (&format!("{server}cookie_domain = \"o.example.com\"\n"), "", "server.cookie_domain"),
        (&format!("{server}trusted_proxies = [\"proxy\"]\n"), "", "server.trusted_proxies"),
        (&format!("{server}metrics_from = [\"10.0.0.0/33\"]\n"), "", "server.metrics_from"),
        (&format!("{server}verify_secret = \"\"\n"), "", "server.verify_secret"),
        (&format!("{server}admin_from = [\"office\"]\n"), "", "server.admin_from"),
        (&format!("{server}admin_url = \"https://sso.example.com:8443\"\n"), "", "server.admin_url"),
        (&format!("{server}admin_url = \"https://admin.example.com/sso\"\n"), "", "server.admin_url"),
        (&format!("{server}admin_url = \"http://admin.example.com\"\n"), "", "server.admin_url"),
        // Where scripts of applications could make the changes.
        (
            &format!(
                "{server}cookie_domain = \"example.com\"\ndanger_admin_beside_applications = true\nadmin_edit_configuration = true\n"
            ),
            "",
            "server.admin_edit_configuration",
        ),
        (
            "[server]\npublic_url = \"https://example.com/sso\"\nadmin_edit_configuration = true\n",
            "",
            "server.admin_edit_configuration",
        ),
        ("[sign_in]\npassword_fallback = false\n", "", "sign_in.password_fallback"),
        ("[sign_in]\nsession_lifetime = 59\n", "", "sign_in.session_lifetime"),
        ("[sign_in]\nsession_lifetime = 7776001\n", "", "sign_in.session_lifetime"),
        ("[sign_in]\nidle_time = 59\n", "", "sign_in.idle_time"),
        ("[sign_in]\nidle_time = \"12h\"\n", "", "sign_in.idle_time"),
        ("[sign_in]\nsession_lifetime = 3600\nidle_time = 3600\n", "", "sign_in.idle_time"),
        (server, "id = \"password\"\n", "provider[0].id"),
        (server, "refresh_interval = 59\n", "provider[0].refresh_interval"),
        (server, "refresh_interval = \"25h\"\n", "provider[0].refresh_interval"),
        // A wrong secret would end every session.
        (server, "refresh_end_errors = [\"invalid_client\"]\n", "provider[0].refresh_end_errors[0]"),
        (server, "refresh_end_errors = [\"401\"]\n", "provider[0].refresh_end_errors[0]"),
        (server, "id = \"a/b\"\n", "provider[0].id"),
        (server, "jwks_uri = \"http://idp.example.com/jwks\"\n", "provider[0].jwks_uri"),
        (server, "token_endpoint = \"file:///etc/passwd\"\n", "provider[0].token_endpoint"),
        (server, "userinfo_endpoint = \"https://a:b@idp.example.com/\"\n", "provider[0].userinfo_endpoint"),
        (server, "discovery = false\n", "provider[0].discovery"),
        (server, ways, "provider[0].discovery"),
        (server, "algorithms = [\"HS256\"]\n", "provider[0].algorithms"),
        (server, "algorithms = [\"rs256\"]\n", "provider[0].algorithms"),
        (
            server,
            "token_endpoint_auth_method = \"tls_client_auth\"\n",
            "provider[0].token_endpoint_auth_method",
        ),
        (
            server,
            "token_endpoint_auth_method = \"client_secret_post\"\n",
            "provider[0].token_endpoint_auth_method",
        ),
        (
            server,
            "token_endpoint_auth_method = \"private_key_jwt\"\n",
            "provider[0].token_endpoint_auth_method",
        ),
        (server, "private_key_file = \"no-such-file.pem\"\n", "provider[0].private_key_file"),
        (server, "private_key_signer = \"kms\"\n", "provider[0].private_key_signer"),
        (server, "client_secret_file = \"no-such-file\"\n", "provider[0].client_secret_file"),
        (server, "client_secret_env = \"CLAIMGATE_NO_SUCH_VARIABLE\"\n", "provider[0].client_secret_env"),
        (server, &format!("{secret}client_secret_env = \"PATH\"\n"), "provider[0].client_secret"),
        (server, "leeway = 301\n", "provider[0].leeway"),
        (server, "prompt = \"always\"\n", "provider[0].prompt"),
        (server, "scopes = [\"profile email\"]\n", "provider[0].scopes"),
        (server, "identity = { groups = [\"groups\"], admin_groups = [\"root\"] }\n", "sign_in.allow_admins"),
        (server, "response_mode = \"fragment\"\n", "provider[0].response_mode"),
        (
            server,
            "authorization_parameters = { Redirect_URI = \"https://evil.example.com\" }\n",
            "provider[0].authorization_parameters.Redirect_URI",
        ),
        (
            server,
            "authorization_parameters = { state = \"x\" }\n",
            "provider[0].authorization_parameters.state",
        ),
        (
            server,
            "authorization_parameters = { request_uri = \"x\" }\n",
            "provider[0].authorization_parameters.request_uri",
        ),
        (
            server,
            "authorization_parameters = { scope = \"x\" }\n",
            "provider[0].authorization_parameters.scope",
        ),
        (
            server,
            "authorization_parameters = { max_age = \"0\" }\n",
            "provider[0].authorization_parameters.max_age",
        ),
        (server, "authorization_parameters = { hd = \"\" }\n", "provider[0].authorization_parameters.hd"),
        (
            server,
            "authorization_parameters = { hd = \"a\\nb\" }\n",
            "provider[0].authorization_parameters.hd",
        ),
        (
            server,
            "authorization_parameters = { \"h d\" = \"a\" }\n",
            "provider[0].authorization_parameters.\"h d\"",
        ),
        (server, &long_parameter, "provider[0].authorization_parameters.hd"),
        (server, &many_parameters, "provider[0].authorization_parameters"),
        (server, "logout_url = \"javascript:alert(1)\"\n", "provider[0].logout_url"),
    ] {
        let text = format!("{start}{PROVIDER}{provider}");
        let error = parse(&text).expect_err(&text);
        assert_eq!(error.code(), "config.value", "{error}\n{text}");
        assert!(error.to_string().contains(&format!(" {names}")), "{error} should name {names}");
    }
    for (start, provider) in [
        ("[sign_in]\npassword_fallback = false\nallow_admins = true\n", ""),
        ("[server]\npublic_url = \"http://127.0.0.1:8080\"\n", ""),
        ("[server]\npublic_url = \"http://app.localhost\"\n", ""),
        (server, "prompt = \"login consent\"\n"),
        (server, "response_mode = \"form_post\"\n"),
        (
            server,
            "authorization_parameters = { acr_values = \"mfa\", \"urn:x:y\" = \"1\", hd = \"example.com\" }\n",
        ),
        (server, "client_secret = \"0123456789abcdef0123456789abcdef\"\nalgorithms = [\"HS256\"]\n"),
        (server, &format!("{ways}jwks_uri = \"https://idp.example.com/jwks?v=2\"\n")),
        (server, "logout_url = \"https://idp.example.com/bye?c={client_id}&to={site_url}#x\"\n"),
    ] {
        parse(&format!("{start}{PROVIDER}{provider}")).unwrap();
    }
    let two = |a: &str, b: &str| {
        parse(&format!(
            "[[provider]]\nissuer = \"https://a.example.com\"\nclient_id = \"x\"\n{a}[[provider]]\nissuer = \"https://b.example.com\"\nclient_id = \"x\"\n{b}"
        ))
    };
    two("", "id = \"b\"\n").unwrap();
    let error = two("", "").unwrap_err();
    assert!(error.to_string().contains("4:1: provider[1].id: `oidc` is another"), "{error}");
    let same = "[[provider]]\nissuer = \"https://a.example.com\"\nclient_id = \"x\"\n[[provider]]\nid = \"b\"\nissuer = \"https://a.example.com\"\nclient_id = \"y\"\n";
    assert!(
        parse(same)
            .unwrap_err()
            .to_string()
            .contains("claimgate.toml:6:10: provider[1].issuer (provider `b`): ")
    );
}

// finding: S20, F5, O-F6, U-k01, U-k02, U-k12
#[test]
fn what_could_never_work_is_refused_and_says_what_to_write() {
    let server = "[server]\npublic_url = \"https://sso.example.com\"\n";
    let with = |server_lines: &str, issuer: &str, provider_lines: &str| {
        let provider = format!("[[provider]]\nissuer = \"{issuer}\"\nclient_id = \"crm\"\n{provider_lines}");
        parse(&format!("{server}{server_lines}{provider}"))
    };
    let idp = "https://idp.example.com";
    let microsoft = "https://login.microsoftonline.com";
    let tenants = format!("{microsoft}/{{tenantid}}/v2.0");
    let of_one = "tenants = [\"11111111-1111-1111-1111-AAAAAAAAAAAA\"]\n".to_owned();
    let short = "client_secret = \"shortsecret-20bytes!\"\nalgorithms = [\"RS256\", \"HS256\"]\n";
    let for_256 = "client_secret = \"0123456789abcdef0123456789abcdef\"\nalgorithms = [\"HS512\"]\n";
    for (lines, issuer, provider, said) in [
        (
            "",
            &*format!("{idp}/realms/a/.well-known/openid-configuration"),
            "",
            "write `https://idp.example.com/realms/a`, or",
        ),
        ("", &*format!("{idp}/ "), "", "white space"),
        ("", &*tenants, "", "write `tenants = [\"ID\", …]` with the ids"),
        ("", &*tenants, "tenants = []\n", "provider[0].tenants: at least one tenant"),
        ("", &*tenants, "tenants = [\"example.com\"]\n", "provider[0].tenants: `example.com` is not the id"),
        ("", &*tenants, &*format!("{of_one}danger_any_tenant = true\n"), "write one of the two"),
        (
            "",
            &*tenants,
            "tenants = [\"9188040d-6c67-4c5b-b112-36a304b66dad\"]\n",
            "provider[0].tenants[0]: is the tenant of personal accounts",
        ),
        ("", &*format!("{microsoft}/a{{tenantid}}/v2.0"), &*of_one, "one whole part of the issuer's path"),
        ("", idp, &*of_one, "provider[0].tenants: needs an issuer with `{tenantid}`"),
        ("", idp, "danger_any_tenant = true\n", "provider[0].danger_any_tenant: needs an issuer"),
        ("", &*format!("{microsoft}/common/v2.0"), "", "write the tenant's id"),
        ("", &*format!("{microsoft}/organizations/v2.0"), "", "write the tenant's id"),
        ("", &*format!("{microsoft}/0f0f"), "", "write `https://login.microsoftonline.com/0f0f/v2.0`"),
        ("", &*format!("{microsoft}/0f0f/v2.0/"), "", "write `https://login.microsoftonline.com/0f0f/v2.0`"),
        (
            "",
            &*format!("{microsoft}/{{tenantid}}"),
            &*of_one,
            "write `https://login.microsoftonline.com/{tenantid}/v2.0`",
        ),
        (
            "",
            "https://login.microsoftonline.us/0f0f/",
            "",
            "write `https://login.microsoftonline.us/0f0f/v2.0`",
        ),
        ("", "https://accounts.google.com/", "", "write `https://accounts.google.com`"),
        ("", "https://acme.eu.auth0.com", "", "write `https://acme.eu.auth0.com/`"),
        ("", "idp.example.com", "", "write the whole address, such as `https://idp.example.com`"),
        ("", "://", "", "write a whole address, such as `https://sso.example.com`"),
        ("", "https://a:b@idp.example.com", "", "write it without username and password"),
        ("", "https://idp.example.com/#a", "", "write it without `#`"),
        (
            "admin_url = \"admin.example.com\"\n",
            idp,
            "",
            "write the whole address, such as `https://admin.example.com`",
        ),
        ("", idp, short, "algorithms[1]: the client secret of 20 bytes is too short for HS256"),
        ("", idp, for_256, "write `danger_allow_short_secret = true`"),
        ("verify_secret = \"a\"\n", idp, "", "at least 32 characters"),
        ("trusted_proxies = [\"10.0.0.1\", \"::/0\"]\n", idp, "", "server.trusted_proxies[1]: every client"),
    ] {
        let error = with(lines, issuer, provider).unwrap_err().to_string();
        assert!(error.contains(said), "{error} should say {said}");
    }
    let danger = format!("{short}danger_allow_short_secret = true\n");
    for (issuer, provider) in [
        (idp, &*danger),
        (&*format!("{microsoft}/0f0f/v2.0"), ""),
        ("https://sts.windows.net/0f0f/", ""),
        ("https://acme.eu.auth0.com/", ""),
        ("https://accounts.google.com", ""),
        (&*format!("{idp}/common"), ""),
        (&*tenants, &*of_one),
        (&*tenants, "danger_any_tenant = true\n"),
    ] {
        assert!(with("", issuer, provider).is_ok(), "{issuer} {provider}");
    }
    let own = tenants.replace("{tenantid}", "11111111-1111-1111-1111-aaaaaaaaaaaa");
    let config = with("", &tenants, &of_one).unwrap();
    let provider = &config.providers[0];
    assert!(provider.accepts_issuer(&own) && !provider.accepts_issuer(&tenants));
    assert_eq!(provider.issuer_named(Some(&own)), own);
    assert_eq!(provider.issuer_named(Some(idp)), tenants);
    let discovery = provider.discovery.as_ref().unwrap().as_str();
    assert_eq!(discovery, format!("{microsoft}/organizations/v2.0"));
    // A token must have one provider.
    let second = format!("{of_one}[[provider]]\nid = \"b\"\nissuer = \"{own}\"\nclient_id = \"b\"\n");
    let error = with("", &tenants, &second).unwrap_err().to_string();
    assert!(error.contains("another provider has the same issuer"), "{error}");
    let address = "[server]\npublic_url = \"https://10.0.0.1\"\ncookie_domain = \"0.0.1\"\n";
    let error = parse(&format!("{address}{PROVIDER}")).unwrap_err().to_string();
    assert!(error.contains("server.cookie_domain: an IP address"), "{error}");
    let suffix = "[server]\npublic_url = \"https://sso.example.co.uk\"\ncookie_domain = \"co.uk\"\n";
    let error = parse(&format!("{suffix}{PROVIDER}")).unwrap_err().to_string();
    assert!(error.contains("server.cookie_domain: `co.uk` is a public suffix"), "{error}");
}

#[test]
fn an_expression_is_refused_with_the_reason() {
    let rule = "[[identity.team]]\nregex = \"a(b\"\nteam = \"T\"\n";
    let error = parse(&format!("{PROVIDER}{rule}")).unwrap_err().to_string();
    assert!(error.ends_with("`a(b` is not a usable regular expression: unclosed group"), "{error}");
}
