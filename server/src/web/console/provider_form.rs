//! The form of a provider: its fields, from a discovery document, from the file and from a browser.

use url::Url;
use zeroize::Zeroizing;

use super::form_fields::{Fields, lines};
use super::saving::Refused;
use crate::editing::provider::{ProviderChange, ProviderDraft};
use crate::editing::{ConfigFile, Edited, Snapshot, provider_of, version_text};
use crate::web::problem::Problem;
use claimgate::oidc::client::Secret;
use claimgate::oidc::discovery::ProviderMetadata;
use claimgate::oidc::endpoint::Endpoint;
use claimgate::text::is_unsafe;
use claimgate_config::{Config, ConfigError, DEFAULT_PROVIDER_ID, default_algorithms, default_scopes};

/// Most scopes of a discovery document that a form offers.
const MAX_OFFERED: usize = 60;
/// The longest scope that a form offers, in characters.
const MAX_SCOPE: usize = 100;
/// The longest secret, in bytes.
const MAX_SECRET: usize = 1_024;

/// What a form does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum What {
    #[default]
    Add,
    Edit,
    Remove,
}

impl What {
    const ALL: [What; 3] = [What::Add, What::Edit, What::Remove];

    /// Returns its value in the form.
    pub(crate) fn name(self) -> &'static str {
        match self {
            What::Add => "add",
            What::Edit => "edit",
            What::Remove => "remove",
        }
    }
}

/// A provider as it is being edited.
#[derive(Clone, Debug, Default)]
pub(crate) struct ProviderForm {
    pub(crate) what: What,
    /// The version of the file that it was loaded from.
    pub(crate) version: String,
    pub(crate) id: String,
    /// Of a provider that is added.
    pub(crate) issuer: String,
    pub(crate) draft: ProviderDraft,
    /// Whether the client has no secret.
    pub(crate) is_public: bool,
    /// A new secret.
    pub(crate) secret: Option<Secret>,
    /// What can be chosen beside what is chosen.
    pub(crate) offered_scopes: Vec<String>,
    pub(crate) offered_algorithms: Vec<String>,
    /// What is wrong, by the setting.
    pub(crate) faults: Vec<(String, String)>,
}

/// What a browser has sent.
#[derive(Default)]
pub(crate) struct Sent {
    pub(crate) form: ProviderForm,
    /// The secret of an earlier page, sealed; empty: none.
    pub(crate) kept_secret: Zeroizing<String>,
    pub(crate) password: Zeroizing<String>,
}

impl Sent {
    /// Reads the fields of the page.
    ///
    /// # Errors
    /// [`Problem::Member`]: a field has another name, or says something else than add, edit or remove.
    pub(crate) fn read(Fields(fields): Fields) -> Result<Self, Problem> {
        let mut sent = Self::default();
        let mut more = Vec::new();
        for (name, value) in fields {
            let form = &mut sent.form;
            let text = || value.trim().to_owned();
            match name.as_str() {
                "what" => {
                    let known = What::ALL.into_iter().find(|what| what.name() == value.as_str());
                    form.what = known.ok_or_else(|| Fields::unknown(&name))?;
                }
                "version" => form.version = text(),
                "id" => form.id = text(),
                "issuer" => form.issuer = text(),
                "display_name" => form.draft.display_name = text(),
                "client_id" => form.draft.client_id = text(),
                "scope" => form.draft.scopes.push(value.to_string()),
                "more_scopes" => more.extend(value.split_whitespace().map(str::to_owned)),
                "algorithm" => form.draft.algorithms.push(value.to_string()),
                "public" => form.is_public = true,
                "client_secret" if value.trim().is_empty() => {}
                "client_secret" => form.secret = Some(Secret::new(text())),
                "offered_scopes" => form.offered_scopes = offered(&lines(&value)),
                "offered_algorithms" => form.offered_algorithms = lines(&value),
                "kept_secret" => sent.kept_secret = value,
                "password" => sent.password = value,
                _ => return Err(Fields::unknown(&name)),
            }
        }
        sent.form.draft.scopes.extend(more);
        Ok(sent)
    }
}

/// Returns the scopes that a form can offer: those that are scopes (RFC 6749 §3.3), each once, no more than fit on a page.
fn offered(scopes: &[String]) -> Vec<String> {
    let is_plain = |byte: u8| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\';
    let is_scope = |text: &&String| {
        (1..=MAX_SCOPE).contains(&text.len()) && text.bytes().all(is_plain) && *text != "openid"
    };
    let mut found: Vec<String> = Vec::new();
    for scope in scopes.iter().filter(is_scope) {
        if found.len() < MAX_OFFERED && !found.contains(scope) {
            found.push(scope.clone());
        }
    }
    found
}

impl ProviderForm {
    /// Returns the form of a provider that is added, before its discovery document is known.
    pub(crate) fn asked(issuer: &str, config: &Config) -> Self {
        let is_taken = |id: &str| config.providers.iter().any(|provider| provider.id == id);
        Self {
            id: free_id(issuer, is_taken),
            issuer: issuer.to_owned(),
            // For the check of the issuer alone.
            draft: ProviderDraft {
                display_name: String::new(),
                client_id: "claimgate".to_owned(),
                scopes: default_scopes(),
                algorithms: default_algorithms(),
            },
            is_public: true,
            ..Self::default()
        }
    }

    /// Fills a form in with what a discovery document says. `wanted`: the scopes that the mapping needs. Algorithms are those
    /// that this server has (`known`), never others; of a document that names none, all of these.
    pub(crate) fn fill(&mut self, metadata: &ProviderMetadata, wanted: &[String], known: &[String]) {
        let mut display_name = self.id.clone();
        display_name[..1].make_ascii_uppercase();
        self.offer(metadata, known);
        let is_offered = |scope: &String| metadata.scopes.is_empty() || metadata.scopes.contains(scope);
        let scopes = default_scopes().into_iter().filter(is_offered);
        let of_groups = wanted.iter().filter(|scope| self.offered_scopes.contains(scope)).cloned();
        let default = default_algorithms().into_iter().find(|name| self.offered_algorithms.contains(name));
        // An algorithm by the client secret is chosen by a person alone.
        let other = self.offered_algorithms.iter().find(|name| !name.starts_with("HS")).cloned();
        self.draft = ProviderDraft {
            display_name,
            client_id: String::new(),
            scopes: scopes.chain(of_groups).collect(),
            algorithms: default.or(other).into_iter().collect(),
        };
        self.is_public = false;
    }

    fn offer(&mut self, metadata: &ProviderMetadata, known: &[String]) {
        self.offered_scopes = offered(&metadata.scopes);
        let announced = &metadata.signing_algorithms;
        let is_announced = |name: &&String| announced.is_empty() || announced.contains(name);
        self.offered_algorithms = known.iter().filter(is_announced).cloned().collect();
    }

    /// Returns the form of a provider of the file. `metadata`: what is known of its discovery document. `None`: the file has
    /// no such provider, or it does not fit into a form.
    pub(crate) fn load(
        file: &Snapshot,
        id: &str,
        metadata: Option<&ProviderMetadata>,
        known: &[String],
    ) -> Option<Self> {
        let draft = ProviderDraft::of(&file.text, id)?;
        let version = version_text(file.version);
        let mut form = Self { what: What::Edit, version, id: id.to_owned(), draft, ..Self::default() };
        match metadata {
            Some(metadata) => form.offer(metadata, known),
            None => form.offered_algorithms = known.to_vec(),
        }
        form.comes_back().then_some(form)
    }

    /// Reports whether a browser sends its fields back as they are: a form would change settings that a person left alone.
    fn comes_back(&self) -> bool {
        let draft = &self.draft;
        let mut texts =
            [&draft.display_name, &draft.client_id].into_iter().chain(&draft.scopes).chain(&draft.algorithms);
        if texts.any(|text| text.contains(is_unsafe)) {
            return false;
        }
        let back = Sent::read(Fields::of(self.fields(None)));
        back.is_ok_and(|Sent { mut form, .. }| {
            form.tidy();
            form.draft == self.draft
        })
    }

    /// Takes over what the file has now, where the person has left what it had before.
    pub(crate) fn rebase(&mut self, before: &str, now: &Snapshot) {
        let of = |text: &str| ProviderDraft::of(text, &self.id);
        if let (What::Edit, Some(before), Some(now)) = (self.what, of(before), of(&now.text)) {
            self.draft.rebase(&before, &now);
        }
    }

    /// Returns what a secret that is typed into it is for.
    pub(crate) fn subject(&self) -> String {
        match self.what {
            What::Add => format!("add {}", self.issuer),
            _ => format!("edit {}", self.id),
        }
    }

    /// Removes what is chosen twice, and notes what no file should say.
    pub(crate) fn tidy(&mut self) {
        for list in [&mut self.draft.scopes, &mut self.draft.algorithms] {
            let mut seen = std::collections::HashSet::new();
            list.retain(|text| seen.insert(text.clone()));
        }
        if self.what == What::Remove {
            return;
        }
        let must_enter = !self.faults.is_empty();
        let mut note = |setting: &str, text: &str| self.faults.push((setting.to_owned(), text.to_owned()));
        for (setting, text) in [
            ("display_name", &self.draft.display_name),
            ("client_id", &self.draft.client_id),
            ("issuer", &self.issuer),
        ] {
            if text.contains(is_unsafe) {
                note(setting, "holds an invisible character: type it, do not paste it");
            }
        }
        match (&self.secret, self.is_public, self.what) {
            // A fault says already that it must be entered again.
            (None, ..) if must_enter => {}
            (None, false, What::Add) => {
                note("client_secret", "is missing: enter it, or say that the client has none");
            }
            (Some(_), true, _) => note("client_secret", "was entered, and the client is said to have none"),
            (Some(secret), ..) if secret.expose().len() > MAX_SECRET => {
                note("client_secret", "is longer than 1,024 bytes");
            }
            (Some(secret), ..) if secret.expose().contains(is_unsafe) => {
                note("client_secret", "holds an invisible character: copy it again");
            }
            _ => {}
        }
    }

    /// Notes that a provider may not be added by plain HTTP, where the server itself is reached by TLS: a page must not lead
    /// the server to the programs that answer its machine alone.
    pub(crate) fn refuse_plain_http(&mut self, is_served_by_tls: bool) {
        let is_plain = Endpoint::parse(&self.issuer, true).is_ok_and(|issuer| issuer.is_plain_http());
        if self.what == What::Add && is_served_by_tls && is_plain {
            let text =
                "must be https here; the configuration file accepts http for a provider on this machine";
            self.faults.push(("issuer".to_owned(), text.to_owned()));
        }
    }

    /// Takes the faults that the server found in a text with the change. Returns those that belong to no field.
    pub(crate) fn take_faults(&mut self, text: &str, error: &ConfigError) -> Vec<String> {
        let path = self.path(text);
        let mut others = Vec::new();
        for fault in error.faults() {
            let setting = fault.setting.as_deref().unwrap_or_default();
            let setting = setting.split(" (provider").next().unwrap_or_default();
            let below = setting.strip_prefix(&path).map(|below| below.split('[').next().unwrap_or_default());
            match below.and_then(|below| self.field_of(below)) {
                Some(field) => {
                    let remedy = fault.remedy().map_or(String::new(), |remedy| format!("; {remedy}"));
                    self.faults.push((field.to_owned(), format!("{}{remedy}", fault.message())));
                }
                None => others.push(fault.to_string()),
            }
        }
        others
    }

    /// Returns the path of the provider's settings in a text with the change.
    fn path(&self, text: &str) -> String {
        let file: toml::Table = toml::from_str(text).unwrap_or_default();
        let own = match self.what {
            // The last one: its id may be another's, which is a fault of this one.
            What::Add => {
                let all = file.get("provider").and_then(toml::Value::as_array);
                all.and_then(|all| all.len().checked_sub(1))
            }
            _ => provider_of(&file, &self.id).map(|(index, _)| index),
        };
        own.map_or_else(|| "provider.".to_owned(), |index| format!("provider[{index}]."))
    }

    /// Returns the field of a setting, if the form has one.
    fn field_of(&self, setting: &str) -> Option<&'static str> {
        match setting {
            "id" if self.what == What::Add => Some("id"),
            "issuer" if self.what == What::Add => Some("issuer"),
            "display_name" => Some("display_name"),
            "client_id" => Some("client_id"),
            "client_secret" | "client_secret_file" | "token_endpoint_auth_method" => Some("client_secret"),
            "scopes" => Some("scopes"),
            "algorithms" => Some("algorithms"),
            _ => None,
        }
    }

    /// Returns what is wrong with a setting.
    pub(crate) fn faults_of(&self, setting: &str) -> Vec<&str> {
        self.faults.iter().filter(|(path, _)| path == setting).map(|(_, text)| text.as_str()).collect()
    }

    /// Returns the fields of the form, as a browser sends them. `kept`: the secret, sealed.
    pub(crate) fn fields(&self, kept: Option<&str>) -> Vec<(String, String)> {
        let draft = &self.draft;
        let (scopes, algorithms) = (self.offered_scopes.join("\n"), self.offered_algorithms.join("\n"));
        let mut fields = vec![
            ("what", self.what.name()),
            ("version", &self.version),
            ("id", &self.id),
            ("issuer", &self.issuer),
            ("display_name", &draft.display_name),
            ("client_id", &draft.client_id),
            ("offered_scopes", &scopes),
            ("offered_algorithms", &algorithms),
        ];
        fields.extend(draft.scopes.iter().map(|scope| ("scope", scope.as_str())));
        fields.extend(draft.algorithms.iter().map(|algorithm| ("algorithm", algorithm.as_str())));
        fields.extend(self.is_public.then_some(("public", "true")));
        fields.extend(kept.map(|kept| ("kept_secret", kept)));
        fields.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    /// Returns the change that the form stands for; `secret_file` is the file of a new secret.
    pub(crate) fn change(&self, secret_file: Option<String>) -> ProviderChange {
        let (id, draft) = (self.id.clone(), self.draft.clone());
        match self.what {
            What::Add => ProviderChange::Add { id, issuer: self.issuer.clone(), draft, secret_file },
            What::Edit => ProviderChange::Edit { id, draft, secret_file },
            What::Remove => ProviderChange::Remove { id },
        }
    }

    /// Returns what the form makes of a file's text.
    pub(crate) fn edit(&self) -> impl FnOnce(&ConfigFile, &str) -> Result<Edited, Refused> + Send + use<> {
        let form = self.clone();
        move |file, text| {
            if form.what == What::Edit {
                let version = claimgate::oidc::fingerprint::Fingerprint::of(text);
                let file = Snapshot { text: text.to_owned(), version };
                Self::load(&file, &form.id, None, &[]).ok_or(Refused::Unsupported)?;
            }
            let secret = form.secret.clone().filter(|_| form.what != What::Remove);
            let secret = secret.map(|secret| file.new_secret(&form.id, secret)).transpose();
            let secret = secret.map_err(Refused::Edit)?;
            let change = form.change(secret.as_ref().map(|secret| secret.name.clone()));
            let text = change.apply(text).ok_or(Refused::Unsupported)?;
            Ok(Edited { text, secret })
        }
    }
}

/// Returns an id for the provider of an issuer, by its host, that is not taken.
fn free_id(issuer: &str, is_taken: impl Fn(&str) -> bool) -> String {
    let host = Url::parse(issuer).ok().and_then(|url| Some(url.domain()?.to_owned())).unwrap_or_default();
    let labels: Vec<&str> = host.split('.').filter(|label| !label.is_empty()).collect();
    let label =
        labels[..labels.len().saturating_sub(1)].last().or(labels.last()).copied().unwrap_or_default();
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let base = match label.len() {
        1..=32 if label.chars().all(is_plain) && label != "password" => label,
        _ => DEFAULT_PROVIDER_ID,
    };
    let others = (2_u64..).map(|number| format!("{base}-{number}"));
    std::iter::once(base.to_owned()).chain(others).find(|id| !is_taken(id)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use claimgate::oidc::fingerprint::Fingerprint;

    const FILE: &str = "[[provider]]\nid = \"crm\"\nissuer = \"https://idp.example.com\"\nclient_id = \"sso\"\nscopes = [\"email\", \"groups\"]\n";

    fn load(text: &str) -> Option<ProviderForm> {
        let file = Snapshot { text: text.to_owned(), version: Fingerprint::of(text) };
        ProviderForm::load(&file, "crm", None, &["RS256".to_owned(), "ES256".to_owned()])
    }

    #[test]
    fn what_a_browser_sends_back_is_what_the_file_says() {
        let form = load(FILE).expect("a provider");
        let fields = form.fields(None).into_iter();
        // As browsers send lines.
        let fields = fields.map(|(name, value)| (name, value.replace('\n', "\r\n"))).collect();
        let mut back = Sent::read(Fields::of(fields)).expect("fields").form;
        back.tidy();
        assert_eq!((&back.draft, &back.version, &back.id), (&form.draft, &form.version, &form.id));
        assert_eq!((back.what, &back.offered_algorithms), (What::Edit, &form.offered_algorithms));
        assert_eq!(back.change(None).apply(FILE).as_deref(), Some(FILE));
    }

    // attack: console.setting-left-alone
    #[test]
    fn a_provider_that_a_browser_would_not_send_back_is_changed_by_hand() {
        for (part, other) in [
            ("\"sso\"", "\"s\\u200bso\""),
            ("\"sso\"", "\" sso\""),
            ("[\"email\"", "[\"groups\""),
            ("[\"email\"", "[1"),
            ("id = \"crm\"", "id = \"crm\"\ndisplay_name = \"C\\nRM\""),
        ] {
            let text = FILE.replace(part, other);
            assert_ne!(text, FILE);
            assert!(load(&text).is_none(), "{other}");
        }
    }

    #[test]
    fn a_field_of_another_name_is_refused() {
        for (name, value) in [("clientid", ""), ("client_secret_file", "/etc/shadow"), ("what", "replace")] {
            let read = Sent::read(Fields::of(vec![(name.to_owned(), value.to_owned())]));
            assert!(matches!(read, Err(Problem::Member { .. })), "{name}");
        }
    }

    #[test]
    fn a_secret_is_there_or_the_client_is_said_to_have_none() {
        let of = |secret: Option<&str>, is_public: bool, what: What| {
            let secret = secret.map(|secret| Secret::new(secret.to_owned()));
            let mut form = ProviderForm { what, secret, is_public, ..ProviderForm::default() };
            form.tidy();
            form.faults_of("client_secret").len()
        };
        assert_eq!(
            (of(None, false, What::Add), of(Some("x"), false, What::Add), of(None, true, What::Add)),
            (1, 0, 0)
        );
        assert_eq!((of(None, false, What::Edit), of(Some("x"), true, What::Add)), (0, 1));
        assert_eq!(
            (of(Some("a\u{200b}"), false, What::Edit), of(Some(&"x".repeat(1_025)), false, What::Edit)),
            (1, 1)
        );
        let read =
            Sent::read(Fields::of(vec![("client_secret".to_owned(), " x \n".to_owned())])).expect("a field");
        assert_eq!(read.form.secret.as_ref().map(Secret::expose), Some("x"));
    }

    // attack: console.provider-by-issuer
    #[test]
    fn plain_http_is_for_a_server_without_tls_alone() {
        for (issuer, is_served_by_tls, is_refused) in [
            ("http://127.0.0.1:9200/x", true, true),
            ("HTTP://localhost/", true, true),
            ("http://localhost/", false, false),
            ("https://127.0.0.1/", true, false),
        ] {
            let mut form = ProviderForm { issuer: issuer.to_owned(), ..ProviderForm::default() };
            form.refuse_plain_http(is_served_by_tls);
            assert_eq!(!form.faults_of("issuer").is_empty(), is_refused, "{issuer}");
        }
    }

    #[test]
    fn an_id_is_a_part_of_the_host_and_free() {
        let of = |issuer: &str| free_id(issuer, |id| ["google", "google-2", "oidc"].contains(&id));
        for (issuer, id) in [
            ("https://accounts.google.com", "google-3"),
            ("https://login.example.com/realms/a", "example"),
            ("https://idp:8443/", "idp"),
            ("http://127.0.0.1:8080", "oidc-2"),
            ("https://b\u{fc}cher.example/", "xn--bcher-kva"),
            ("nonsense", "oidc-2"),
        ] {
            assert_eq!(of(issuer), id, "{issuer}");
        }
    }

    #[test]
    fn scopes_that_are_none_are_not_offered_and_few_are() {
        let scopes: Vec<String> = (0..100).map(|index| format!("scope{index}")).collect();
        assert_eq!(offered(&scopes).len(), MAX_OFFERED);
        let texts = ["email", "email", "", "a b", "\"", "openid", "<b>", "\u{202e}"].map(str::to_owned);
        assert_eq!(offered(&texts), ["email", "<b>"]);
        assert!(offered(&["x".repeat(101)]).is_empty());
    }
}
