//! The configuration file that `claimgate init` writes, with a comment on each choice.

use std::net::SocketAddr;
use std::path::Path;

use claimgate_config::{Config, DEFAULT_PROVIDER_ID, Extensions};
use toml::Value;

use super::kinds::{Kind, is_open};

/// What the file is made of.
#[derive(Clone, Debug)]
pub(super) struct Answers {
    pub(super) kind: &'static Kind,
    pub(super) public_url: String,
    pub(super) listen: SocketAddr,
    pub(super) database: String,
    pub(super) issuer: String,
    pub(super) client_id: String,
    /// The domain of a Workspace whose people may sign in; Google alone has one.
    pub(super) domain: Option<String>,
    /// The group that makes administrators.
    pub(super) admin_group: Option<String>,
    pub(super) secret: Secret,
}

/// How the file writes the client secret.
#[derive(Clone, Debug)]
pub(super) enum Secret {
    /// It names a file.
    InFile(String),
    /// A public client has none.
    None,
    /// A secret that is not the client's: for a check before there is a file.
    Example,
}

impl Answers {
    /// Returns answers of a kind that are no one's yet.
    pub(super) fn examples(kind: &'static Kind) -> Self {
        Self {
            kind,
            public_url: "https://sso.example.com".to_owned(),
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            database: "claimgate.db".to_owned(),
            issuer: kind.issuer.to_owned(),
            client_id: "claimgate".to_owned(),
            domain: None,
            admin_group: None,
            secret: Secret::Example,
        }
    }

    /// Returns the id of the provider, a part of its addresses.
    pub(super) fn provider_id(&self) -> &'static str {
        if self.kind.name == "generic" { DEFAULT_PROVIDER_ID } else { self.kind.name }
    }

    /// Checks the answers as a server checks its file.
    ///
    /// # Errors
    /// What the first fault is, and its remedy.
    pub(super) fn check(&self, folder: &Path, extensions: &Extensions) -> Result<Config, String> {
        if self.admin_group.is_some() && !self.kind.has_groups() {
            return Err(format!("{} has no groups in its tokens", self.kind.title));
        }
        Config::parse(&self.file(), "", folder, extensions).map_err(|error| {
            let faults = error.faults().iter();
            let texts = faults.map(|fault| match (&fault.setting, fault.remedy()) {
                (Some(setting), Some(remedy)) => format!("{setting}: {}; {remedy}", fault.message()),
                (Some(setting), None) => format!("{setting}: {}", fault.message()),
                (None, _) => fault.message(),
            });
            texts.collect::<Vec<_>>().join("\n")
        })
    }

    /// Returns the text of the file.
    pub(super) fn file(&self) -> String {
        let Self { kind, .. } = self;
        let mut text = format!(
            "# Claimgate, with {} as its provider. A server that runs reads this file again on SIGHUP.\n\
             # Every setting: docs/reference/configuration.md. Check a change: claimgate config check FILE\n\n",
            kind.title
        );
        text.push_str(&self.server());
        text.push_str(&self.sign_in());
        text.push_str(&self.provider());
        text.push_str(&self.identity());
        text
    }

    fn server(&self) -> String {
        format!(
            "[server]\n\
             # The address of Claimgate for browsers, as the proxy serves it: https, except on loopback.\n\
             public_url = {}\n\
             # Where the proxy reaches Claimgate: plain HTTP, which no other machine should.\n\
             listen = {}\n\
             # Users, sessions and logouts, and beside it the key that seals cookies. In a folder that only the server may write.\n\
             database = {}\n\
             # The proxies that say from where a client came (X-Forwarded-For).\n\
             trusted_proxies = [\"127.0.0.1\", \"::1\"]\n\
             # Claimgate on a host of its own, and applications on others of the same domain: they share the session's cookie.\n\
             # cookie_domain = \"example.com\"\n\n",
            quoted(&self.public_url),
            quoted(&self.listen.to_string()),
            quoted(&self.database),
        )
    }

    fn sign_in(&self) -> String {
        let mut text = "[sign_in]\n".to_owned();
        if is_open(&self.issuer) && self.domain.is_none() {
            text.push_str(
                "# Anyone can have an account at this provider. Before you set this to true, demand a claim that your people\n\
                 # alone have ([[provider.claim]]). Until then only users who were added may sign in: claimgate user add NAME\n\
                 create_users = false\n",
            );
        } else {
            text.push_str(
                "# Everyone whom the provider signs in gets a user. With false, only users who were added: claimgate user add NAME\n\
                 create_users = true\n",
            );
        }
        text.push_str(
            "# Each sign-in brings the profile and the teams to what the provider says; teams given by hand stay.\n\
             sync_profile = true\n\
             sync_teams = true\n",
        );
        if self.admin_group.is_some() {
            text.push_str("# Administrators sign in through the provider; `admin_groups` below says who they are.\nallow_admins = true\n");
        }
        if !self.kind.sends_logouts {
            text.push_str(
                "# The provider sends no back-channel logout: a session ends here by itself, or by hand.\n\
                 session_lifetime = \"8h\"\n",
            );
        }
        text.push('\n');
        text
    }

    fn provider(&self) -> String {
        let mut text = format!(
            "[[provider]]\n\
             # A part of its addresses here, such as /callback/{id}.\n\
             id = {}\n\
             # The text on the button.\n\
             display_name = {}\n\
             # {}\n\
             issuer = {}\n\
             client_id = {}\n",
            quoted(self.provider_id()),
            quoted(self.display_name()),
            self.kind.about_issuer,
            quoted(&self.issuer),
            quoted(&self.client_id),
            id = self.provider_id(),
        );
        text.push_str(&match &self.secret {
            Secret::InFile(file) => format!(
                "# The file holds the secret alone, for the user that runs the server.\nclient_secret_file = {}\n",
                quoted(file)
            ),
            Secret::Example => "client_secret = \"an example\"\n".to_owned(),
            Secret::None => "# A public client, without a secret: PKCE alone protects the code.\ntoken_endpoint_auth_method = \"none\"\n".to_owned(),
        });
        for part in [self.kind.provider].into_iter().filter(|part| !part.is_empty()) {
            text.push_str(&format!("{part}\n"));
        }
        if let Some(domain) = &self.domain {
            text.push_str(&format!(
                "\n# Only people of this Workspace: anyone can have an account at Google.\n\
                 [[provider.claim]]\npath = \"hd\"\none_of = [{}]\n",
                quoted(domain)
            ));
        }
        text.push('\n');
        text
    }

    fn display_name(&self) -> &'static str {
        if self.kind.name == "generic" { "Single sign-on" } else { self.kind.title }
    }

    fn identity(&self) -> String {
        let mut text = format!("[identity]\n{}\n", self.kind.identity);
        if let Some(group) = &self.admin_group {
            text.push_str(&format!(
                "# A person in one of these groups is an administrator, every other person a regular user, at each sign-in.\n\
                 admin_groups = [{}]\n",
                quoted(group)
            ));
        }
        if !self.kind.team.is_empty() {
            text.push_str("\n# From groups of the provider to teams here, a rule each:\n");
            for line in format!("[[identity.team]]\n{}", self.kind.team).lines() {
                text.push_str(&format!("# {line}\n"));
            }
        }
        text
    }
}

/// Returns a text as a string of TOML.
fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::super::kinds::KINDS;
    use super::*;

    fn check(text: &str) -> Config {
        let parsed = Config::parse(text, "claimgate.toml", Path::new("/nowhere"), &Extensions::builtin());
        parsed.unwrap_or_else(|error| panic!("{error}\n{text}"))
    }

    #[test]
    fn the_file_of_each_kind_is_one_that_a_server_starts_with() {
        for kind in KINDS {
            let answers = Answers::examples(kind);
            let config = check(&answers.file());
            assert_eq!(config.providers[0].id, answers.provider_id());
            assert_eq!(config.providers[0].issuer, kind.issuer);
            assert!(config.server.is_some() && config.sign_in.create_users != is_open(kind.issuer));
            // The example of a team rule too.
            let text = answers.file();
            let (before, rules) = text
                .split_once("# From groups of the provider to teams here, a rule each:\n")
                .unwrap_or((&text, ""));
            assert_eq!(rules.starts_with("# [[identity.team]]\n"), kind.has_groups(), "{}", kind.name);
            let rules: Vec<&str> = rules.lines().map(|line| line.trim_start_matches("# ")).collect();
            check(&format!("{before}\n{}", rules.join("\n")));
        }
    }

    #[test]
    fn administrators_by_a_group_are_those_of_kinds_with_groups() {
        for kind in KINDS {
            let group = "the \"chosen\"\n[server]".to_owned();
            let answers = Answers { admin_group: Some(group.clone()), ..Answers::examples(kind) };
            let checked = answers.check(Path::new("/nowhere"), &Extensions::builtin());
            assert_eq!(checked.is_ok(), kind.has_groups(), "{}: {:?}", kind.name, checked.err());
            if kind.has_groups() {
                assert!(answers.file().contains("allow_admins = true"));
            }
        }
    }

    #[test]
    fn what_is_typed_stays_one_value() {
        let kind = Kind::named("google").expect("a kind");
        let typed = "a\"]\n[server]\nlisten = \"0.0.0.0:1\"\n# \u{1}'''\\";
        let answers = Answers {
            client_id: typed.to_owned(),
            domain: Some(typed.to_owned()),
            database: typed.replace('\u{1}', ""),
            ..Answers::examples(kind)
        };
        let config = check(&answers.file());
        assert_eq!(config.providers[0].client.id, typed);
        assert!(config.sign_in.create_users);
        assert_eq!(config.server.expect("a server").listen, answers.listen);
    }

    #[test]
    fn a_wrong_answer_is_named_by_its_setting() {
        let kind = Kind::named("entra").expect("a kind");
        let check = |answers: Answers| {
            answers.check(Path::new("/nowhere"), &Extensions::builtin()).expect_err("a fault")
        };
        let examples = || Answers::examples(kind);
        let url = check(Answers { public_url: "http://sso.example.com".to_owned(), ..examples() });
        assert!(url.starts_with("server.public_url: "), "{url}");
        let common = "https://login.microsoftonline.com/common/v2.0".to_owned();
        let issuer = check(Answers { issuer: common, ..examples() });
        assert!(issuer.starts_with("provider[0].issuer "), "{issuer}");
    }
}
