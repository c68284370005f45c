//! `claimgate init`: the file that it writes, with options and at a terminal.
#![allow(clippy::unwrap_used)]

use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use super::support::{Folder, Outcome, repository_file, run, run_with};

const PASSWORD: &[u8] = b"a long enough password\n";

/// Returns the kinds of provider, by the refusal of another.
fn kinds() -> Vec<String> {
    let refused = run(&["init", "--provider", "none"]);
    assert_eq!(refused.code, 2);
    let (_, names) = refused.err.split_once("must be one of ").unwrap();
    names.lines().next().unwrap().split(", ").map(str::to_owned).collect()
}

/// Returns an issuer of a kind that its provider could have.
fn issuer(kind: &str) -> &'static str {
    match kind {
        "entra" => "https://login.microsoftonline.com/00000000-0000-0000-0000-000000000001/v2.0",
        _ => "https://idp.example.com/realms/acme",
    }
}

fn mode(file: &str) -> u32 {
    std::fs::metadata(file).unwrap().permissions().mode() & 0o777
}

/// Initialises for Keycloak with further options.
fn init(folder: &Folder, more: &[&str], input: &[u8]) -> Outcome {
    let config = folder.path("claimgate.toml");
    let given = ["init", "--provider", "keycloak", "--issuer", issuer("keycloak"), "--client-id", "crm"];
    let site = ["--public-url", "https://sso.example.com", "--config", &config];
    run_with(&[&given[..], &site, more].concat(), input)
}

/// The file of each kind passes the check of a server, without a warning, and says where the addresses are entered.
#[test]
fn the_file_of_each_kind_passes_the_check() {
    let kinds = kinds();
    assert!(kinds.len() >= 10 && kinds.iter().any(|kind| kind == "generic"), "{kinds:?}");
    let guide = std::fs::read_to_string(repository_file("docs/guide/providers.md")).unwrap();
    for kind in &kinds {
        let folder = Folder::new();
        let config = folder.path("claimgate.toml");
        let secret = folder.write("secret-of-the-client", "a secret of the client\n");
        std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o600)).unwrap();
        let ran = run(&[
            &["init", "--yes", "--provider", kind, "--issuer", issuer(kind), "--client-id", "crm"][..],
            &[
                "--public-url",
                "https://sso.example.com",
                "--client-secret-file",
                &secret,
                "--config",
                &config,
            ],
        ]
        .concat());
        assert_eq!(ran.code, 0, "{kind}: {}", ran.err);
        let checked = run(&["config", "check", "--strict", &config]);
        assert_eq!(checked.code, 0, "{kind}: {}{}", checked.out, checked.err);
        let id = if kind == "generic" { "oidc" } else { kind };
        assert!(ran.out.contains(&format!("https://sso.example.com/callback/{id}\n")), "{}", ran.out);
        // Of a provider without back-channel logout the URI is not printed.
        let is_printed = ran.out.contains("https://sso.example.com/api/v1/backchannelLogout\n");
        assert_eq!(
            is_printed,
            !["entra", "okta", "google", "gitlab", "dex", "canaille", "apple"].contains(&kind.as_str()),
            "{}",
            ran.out
        );
        let written = std::fs::read_to_string(&config).unwrap();
        assert!(written.contains("client_secret_file = \"secret-of-the-client\"\n"), "{written}");
        assert!(!written.contains("a secret of the client") && mode(&config) == 0o644);
        let title = ran.out.split_once("\nAt ").unwrap().1.split_once(':').unwrap().0.to_owned();
        assert!(
            kind == "generic" || guide.contains(&format!("\n## {title}\n")),
            "{title} is not in the guide"
        );
    }
}

#[test]
fn what_is_missing_is_named_and_nothing_is_written() {
    let folder = Folder::new();
    let config = folder.path("claimgate.toml");
    for more in [&[][..], &["--yes"]] {
        let ran =
            run(&[&["init", "--config", &config, "--public-url", "https://sso.example.com"], more].concat());
        assert_eq!(ran.code, 2);
        for option in
            ["--provider", "--issuer", "--client-id", "--client-secret-file, --client-secret-stdin or"]
        {
            assert!(ran.err.contains(option), "{option}: {}", ran.err);
        }
        assert!(!ran.err.contains("--public-url"), "{}", ran.err);
    }
    let wrong = init(&folder, &["--public-client", "--public-url", "http://sso.example.com"], b"");
    assert_eq!(wrong.code, 2, "an option is given once");
    let wrong = run(&[
        "init",
        "--config",
        &config,
        "--provider",
        "keycloak",
        "--issuer",
        issuer("keycloak"),
        "--client-id",
        "crm",
        "--public-url",
        "http://sso.example.com",
        "--public-client",
    ]);
    assert_eq!(wrong.code, 2);
    assert!(wrong.err.contains("server.public_url: ") && wrong.err.contains("https"), "{}", wrong.err);
    let absent = init(&folder, &["--client-secret-file", &folder.path("absent")], b"");
    assert_eq!(absent.code, 2, "{}", absent.out);
    let short = init(&folder, &["--public-client", "--admin", "root", "--admin-password-stdin"], b"short\n");
    assert_eq!(short.code, 2);
    let domain = init(&folder, &["--public-client", "--domain", "example.com"], b"");
    assert!(domain.code == 2 && domain.err.contains("--provider google"), "{}", domain.err);
    assert_eq!(std::fs::read_dir(folder.path("")).unwrap().count(), 0, "nothing is left behind");
}

#[test]
fn a_secret_from_standard_input_is_its_owners_alone_and_no_file_is_replaced_unasked() {
    let folder = Folder::new();
    let (config, secret) = (folder.path("claimgate.toml"), folder.path("client-secret"));
    let ran = init(&folder, &["--client-secret-stdin"], b"the first secret\n");
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert_eq!(std::fs::read_to_string(&secret).unwrap(), "the first secret\n");
    assert_eq!(mode(&secret), 0o600);
    assert!(!ran.out.contains("the first secret"));
    assert_eq!(run(&["config", "check", "--strict", &config]).code, 0);

    let before = std::fs::read_to_string(&config).unwrap();
    let again = init(&folder, &["--client-secret-stdin", "--listen", "127.0.0.1:9"], b"the second secret\n");
    assert!(again.code == 2 && again.err.contains("--force"), "{}", again.err);
    std::fs::remove_file(&config).unwrap();
    let again = init(&folder, &["--client-secret-stdin"], b"the second secret\n");
    assert!(again.code == 2 && again.err.contains("client-secret exists"), "{}", again.err);
    assert!(!std::path::Path::new(&config).exists());
    assert_eq!(std::fs::read_to_string(&secret).unwrap(), "the first secret\n");

    folder.write("claimgate.toml", &before);
    let more = ["--client-secret-stdin", "--listen", "127.0.0.1:9", "--force"];
    assert_eq!(init(&folder, &more, b"the second secret\n").code, 0);
    assert_eq!(std::fs::read_to_string(&secret).unwrap(), "the second secret\n");
    assert!(std::fs::read_to_string(&config).unwrap().contains("listen = \"127.0.0.1:9\"\n"));
    assert_eq!(std::fs::read_dir(folder.path("")).unwrap().count(), 2, "no temporary file is left");
}

#[test]
fn the_first_administrator_is_a_user_or_a_group() {
    let folder = Folder::new();
    let config = folder.path("claimgate.toml");
    let ran = init(&folder, &["--public-client", "--admin", "Root", "--admin-password-stdin"], PASSWORD);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(ran.out.contains("added root (super-admin)\n") && !ran.out.contains("user add"), "{}", ran.out);
    let listed = run(&["user", "list", "--config", &config]);
    assert!(listed.out.starts_with("root  super-admin  active, password"), "{}", listed.out);
    assert_eq!((mode(&folder.path("claimgate.db")), mode(&folder.path("claimgate.db.key"))), (0o600, 0o600));
    // The database stays, and with it the user.
    let more = ["--public-client", "--admin", "root", "--admin-password-stdin", "--force"];
    let again = init(&folder, &more, PASSWORD);
    assert_eq!(again.code, 1);
    assert!(again.err.contains("request.taken") && again.err.contains("is written"), "{}", again.err);

    let other = Folder::new();
    let ran = init(&other, &["--public-client", "--admin-group", "it \"staff\""], b"");
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(ran.out.contains("claimgate user add root"), "{}", ran.out);
    let claims = other
        .write("claims.json", r#"{"sub": "s", "preferred_username": "ada", "groups": ["it \"staff\""]}"#);
    let config = other.path("claimgate.toml");
    assert_eq!(run(&["user", "add", "root", "--no-password", "--config", &config]).code, 0);
    let explained = run(&["explain", "--config", &config, "--changes", &claims]);
    assert!(explained.out.contains("admin"), "{}{}", explained.out, explained.err);
}

// finding: V5
/// At a terminal a wrong answer is asked for again; the secret and the password are not shown.
#[test]
fn six_questions_at_a_terminal() {
    use std::io::{Read, Write};
    if Command::new("script").arg("--version").stdout(Stdio::null()).status().is_err() {
        eprintln!("skipped: there is no `script`, which runs a command at a terminal");
        return;
    }
    let folder = Folder::new();
    let config = folder.path("claimgate.toml");
    let command = format!("{} init --config {config}", env!("CARGO_BIN_EXE_claimgate"));
    let mut terminal = Command::new("script")
        .args(["--quiet", "--return", "--command", &command, "/dev/null"])
        .env("TERM", "xterm")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut keys, mut screen) = (terminal.stdin.take().unwrap(), terminal.stdout.take().unwrap());
    let mut shown = String::new();
    let mut wait_for = |text: &str, shown: &mut String| {
        let mut bytes = [0; 4096];
        while !shown.contains(text) {
            let read = screen.read(&mut bytes).unwrap();
            assert!(read > 0, "{text:?} is not shown: {shown}");
            shown.push_str(&String::from_utf8_lossy(&bytes[..read]));
        }
        *shown = shown.split_once(text).unwrap().1.to_owned();
    };
    let mut all = String::new();
    for (question, typed) in [
        ("Which provider", "\r"),
        ("Address of Claimgate", "http://sso.example.com\r"),
        // The refusal, and the question again, with the text that was typed.
        ("public_url: ", "\u{15}https://sso.example.com\r"),
        ("Issuer, such as", "https://idp.example.com/realms/acme\r"),
        // What the provider asks for before it gives a client id and a secret.
        ("https://sso.example.com/callback/keycloak", ""),
        ("Client id", "crm\r"),
        ("Client secret", "a secret of the client\r"),
        ("first administrator", "root\r"),
        ("Password: ", "a long enough password\r"),
        ("Repeat the password: ", "a long enough password\r"),
    ] {
        wait_for(question, &mut shown);
        all.push_str(&shown);
        // The prompt reads once it has written its question.
        std::thread::sleep(std::time::Duration::from_millis(600));
        keys.write_all(typed.as_bytes()).unwrap();
    }
    wait_for("added root (super-admin)", &mut shown);
    wait_for("claimgate doctor", &mut shown);
    assert!(terminal.wait().unwrap().success());
    assert!(!all.contains("a secret of the client") && !all.contains("long enough password"), "{all}");
    assert_eq!(std::fs::read_to_string(folder.path("client-secret")).unwrap(), "a secret of the client\n");
    let written = std::fs::read_to_string(&config).unwrap();
    assert!(written.contains("public_url = \"https://sso.example.com\"\n"), "{written}");
    assert_eq!(run(&["config", "check", "--strict", &config]).code, 0);
}

#[test]
fn a_public_client_needs_no_word_more() {
    let folder = Folder::new();
    let ran = init(&folder, &["--yes", "--public-client"], b"");
    assert_eq!(ran.code, 0, "{}", ran.err);
    let checked = run(&["config", "check", &folder.path("claimgate.toml")]);
    assert_eq!(checked.code, 0, "{}", checked.err);
    assert!(!(checked.out + &checked.err).contains("client_secret"), "nothing is said to be missing");
}

#[test]
fn what_fails_writes_nothing_and_deletes_nothing() {
    let folder = Folder::new();
    let ran = init(&folder, &["--yes", "--client-secret-stdin"], b"\n");
    assert!(ran.code == 2 && ran.err.contains("standard input has no client secret"), "{}", ran.err);
    assert!(std::fs::read_dir(folder.path("")).unwrap().next().is_none(), "a file is left");

    let secret = folder.write("client-secret", "the older one\n");
    std::fs::create_dir(folder.path("claimgate.toml")).unwrap();
    let ran = init(&folder, &["--yes", "--force", "--client-secret-stdin"], b"the newer one\n");
    assert!(ran.code == 2 && ran.err.contains("is a folder, and nothing was written"), "{}", ran.err);
    assert_eq!(std::fs::read_to_string(secret).unwrap(), "the older one\n");
}

/// Whatever kind the issuer is said to be of.
#[test]
fn users_are_not_created_where_anyone_can_have_an_account() {
    let personal = "https://login.microsoftonline.com/9188040d-6c67-4c5b-b112-36a304b66dad/v2.0";
    for (kind, issuer) in
        [("generic", "https://accounts.google.com"), ("keycloak", "https://gitlab.com/"), ("entra", personal)]
    {
        let folder = Folder::new();
        let config = folder.path("claimgate.toml");
        let given = [
            "init",
            "--yes",
            "--provider",
            kind,
            "--issuer",
            issuer,
            "--client-id",
            "crm",
            "--public-client",
        ];
        let site = ["--public-url", "https://sso.example.com", "--config", &config];
        let ran = run(&[&given[..], &site].concat());
        assert_eq!(ran.code, 0, "{}", ran.err);
        let written = std::fs::read_to_string(&config).unwrap();
        assert!(!written.lines().any(|line| line == "create_users = true"), "{kind} {issuer}: {written}");
    }
}

#[test]
fn the_domain_of_a_workspace_is_a_domain() {
    for domain in ["https://example.com", "example.com/", "example", ""] {
        let folder = Folder::new();
        let config = folder.path("claimgate.toml");
        let given = ["init", "--yes", "--provider", "google", "--client-id", "crm", "--public-client"];
        let site = ["--public-url", "https://sso.example.com", "--config", &config, "--domain", domain];
        let ran = run(&[&given[..], &site].concat());
        assert!(ran.code == 2 && ran.err.contains("is no domain"), "{domain}: {}", ran.err);
    }
}
