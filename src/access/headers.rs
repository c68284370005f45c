//! The headers by which an application learns who sends a request: their names, and what is in them.

use super::AccessError;
use super::caller::Caller;
use super::header_name;
use super::spec::{Content, Encoding, HeaderSpec, HeadersSpec, Preset};
use crate::identity::SettingPath;
use crate::oidc::user::User;
use crate::path::ClaimPath;

/// The headers of an application, in their order; by default those of [`Preset::Claimgate`]. An application gets all of
/// them with every request, so that a proxy overwrites what a client sent under these names.
///
/// ```
/// use claimgate::access::{Caller, Headers, HeadersSpec};
/// use claimgate::identity::SettingPath;
///
/// let spec: HeadersSpec = serde_json::from_str(
///     r#"{"preset": "authelia", "header": [{"name": "X-Client", "value": "client"}]}"#,
/// )?;
/// let headers = Headers::compile(&spec, &SettingPath::of("headers"))?;
/// let mut caller = Caller::default();
/// caller.client = Some("backup");
/// let sent: Vec<_> = headers.iter().map(|header| (header.name(), header.value(caller))).collect();
/// assert_eq!(sent[0], ("Remote-User", Some(String::new())));
/// assert_eq!(sent[4], ("X-Client", Some("backup".to_owned())));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// ```
/// use claimgate::access::{Headers, HeadersSpec};
/// use claimgate::identity::SettingPath;
///
/// let spec: HeadersSpec = serde_json::from_str(r#"{"preset": "grafana"}"#)?;
/// let headers = Headers::compile(&spec, &SettingPath::of("headers"))?;
/// assert!(headers.iter().any(|header| header.name() == "X-WEBAUTH-USER"));
/// assert_eq!(headers.claim_paths().count(), 0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Headers(Vec<Header>);

/// A header of an application.
///
/// ```
/// use claimgate::access::{Caller, Header};
///
/// /// Returns the line of a header; `None` if the caller has no such value.
/// fn line(header: &Header, caller: Caller<'_>) -> Option<String> {
///     Some(format!("{}: {}", header.name(), header.value(caller)?))
/// }
/// ```
#[derive(Clone, Debug)]
pub struct Header {
    name: String,
    source: Source,
    encoding: Encoding,
    separator: char,
}

/// What the value of a header is taken from.
#[derive(Clone, Debug)]
enum Source {
    Known(Content),
    Claim(ClaimPath),
}

/// Most headers of one application.
const MOST_HEADERS: usize = 32;
/// The separator of teams, and of the values of a claim.
const SEPARATOR: char = ',';

impl Default for Headers {
    fn default() -> Self {
        Self::of_preset(Preset::Claimgate, Encoding::Percent)
    }
}

impl Headers {
    /// Compiles headers. `setting` is the path of their table.
    ///
    /// # Errors
    /// An [`AccessError`]: a name that is none, is reserved or occurs twice; both or none of `value` and `claim`; a path
    /// that is none; a separator that is none, or of a value that is no list; more than 32 headers.
    pub fn compile(spec: &HeadersSpec, setting: &SettingPath) -> Result<Self, AccessError> {
        let mut headers = Self::of_preset(spec.preset.unwrap_or_default(), spec.encoding);
        for (index, header) in spec.header.iter().enumerate() {
            let setting = setting.name("header").index(index);
            let header = Header::compile(header, spec.encoding, &setting)?;
            if headers.iter().any(|other| other.name.eq_ignore_ascii_case(&header.name)) {
                let reason = format!("another header has the name `{}`", header.name);
                let remedy = "give it another name, or write `preset = \"none\"`";
                return Err(AccessError::with_remedy(setting.name("name"), reason, remedy));
            }
            headers.0.push(header);
        }
        if headers.0.len() > MOST_HEADERS {
            let reason = format!("an application gets {MOST_HEADERS} headers at most");
            return Err(AccessError::new(setting.name("header"), reason));
        }
        Ok(headers)
    }

    fn of_preset(preset: Preset, encoding: Encoding) -> Self {
        use Content::{Email, Name, Teams, Username};
        let headers: &[(&str, Content)] = match preset {
            Preset::Claimgate => &[
                ("X-Auth-User", Username),
                ("X-Auth-Email", Email),
                ("X-Auth-Teams", Teams),
                ("X-Auth-Name", Name),
            ],
            Preset::Authelia => &[
                ("Remote-User", Username),
                ("Remote-Groups", Teams),
                ("Remote-Name", Name),
                ("Remote-Email", Email),
            ],
            Preset::Oauth2Proxy => &[
                ("X-Forwarded-User", Username),
                ("X-Forwarded-Email", Email),
                ("X-Forwarded-Groups", Teams),
                ("X-Forwarded-Preferred-Username", Username),
            ],
            Preset::Grafana => &[
                ("X-WEBAUTH-USER", Username),
                ("X-WEBAUTH-NAME", Name),
                ("X-WEBAUTH-EMAIL", Email),
                ("X-WEBAUTH-GROUPS", Teams),
            ],
            Preset::None => &[],
        };
        let header = |&(name, content): &(&str, Content)| Header {
            name: name.to_owned(),
            source: Source::Known(content),
            encoding,
            separator: SEPARATOR,
        };
        Self(headers.iter().map(header).collect())
    }

    /// Reports whether one of them is signed.
    pub(super) fn has_assertion(&self) -> bool {
        self.iter().any(|header| matches!(header.source, Source::Known(Content::Assertion)))
    }

    /// Returns the paths of the claims that are in headers.
    pub fn claim_paths(&self) -> impl Iterator<Item = &ClaimPath> {
        self.iter().filter_map(|header| match &header.source {
            Source::Known(_) => None,
            Source::Claim(path) => Some(path),
        })
    }

    /// Returns the audience of the assertions of an application, whose path is `setting`: the one that is written, or else
    /// the application's name.
    pub(super) fn assertion_audience(
        &self,
        written: Option<&str>,
        name: &str,
        setting: &SettingPath,
    ) -> Result<String, AccessError> {
        let (reason, remedy) = match written {
            Some("") => {
                ("is empty", "write the audience, or remove it: the audience is the application's name then")
            }
            Some(_) if !self.has_assertion() => (
                "is written, and no header of the application has `value = \"assertion\"`",
                "remove it, or write a [[headers.header]] or [[application.headers.header]] with that value",
            ),
            written => return Ok(written.unwrap_or(name).to_owned()),
        };
        Err(AccessError::with_remedy(setting.name("assertion_audience"), reason, remedy))
    }

    /// Returns the headers, in their order.
    pub fn iter(&self) -> impl Iterator<Item = &Header> {
        self.0.iter()
    }
}

impl Header {
    fn compile(spec: &HeaderSpec, encoding: Encoding, setting: &SettingPath) -> Result<Self, AccessError> {
        let name = &spec.name;
        header_name::check(name).map_err(|reason| {
            AccessError::with_remedy(
                setting.name("name"),
                format!("`{name}` {reason}"),
                "write a name of the application's own, such as `X-Department`",
            )
        })?;
        let source = Source::compile(spec, setting)?;
        let separator = match &spec.separator {
            Some(_) if !matches!(source, Source::Known(Content::Teams) | Source::Claim(_)) => {
                let reason = "separates teams or the values of a claim, and this value is no list";
                return Err(AccessError::with_remedy(setting.name("separator"), reason, "remove it"));
            }
            Some(text) => separator(text).ok_or_else(|| {
                let reason = format!("`{text}` does not separate names");
                AccessError::with_remedy(setting.name("separator"), reason, "write `,`, `;`, `|` or a space")
            })?,
            None => SEPARATOR,
        };
        Ok(Self { name: name.clone(), source, encoding: spec.encoding.unwrap_or(encoding), separator })
    }

    /// Returns its name, as it is written.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns its value for the sender of a request: empty where it is not known. It holds no control character, and
    /// neither begins nor ends with a space; without [`Encoding::Raw`] it is visible ASCII and spaces. `None` for
    /// [`Content::Assertion`], whose value is signed.
    #[must_use]
    pub fn value(&self, caller: Caller<'_>) -> Option<String> {
        let user = caller.user;
        let content = match &self.source {
            Source::Known(content) => content,
            Source::Claim(path) => return Some(self.list(caller.texts(path).iter())),
        };
        let text = match content {
            Content::Username => user.map(|user| user.username.clone()),
            Content::Email => user.and_then(|user| user.email()).map(str::to_owned),
            Content::Name => user.map(User::display_name),
            Content::Teams => return Some(self.list(user.iter().flat_map(|user| user.teams.keys()))),
            Content::Kind => user.map(|user| user.kind.name().to_owned()),
            Content::Id => user.map(|user| user.id.0.to_string()),
            Content::Client => caller.client.map(str::to_owned),
            Content::Assertion => return None,
        };
        let text = text.unwrap_or_default();
        Some(match self.encoding {
            Encoding::Percent => percent_encoded(&text, None),
            Encoding::Raw if text.contains(char::is_control) => String::new(),
            Encoding::Raw => text.trim().to_owned(),
        })
    }

    /// Joins names. A raw list leaves out each name that its reader could not tell from others.
    fn list<'n>(&self, names: impl Iterator<Item = &'n String>) -> String {
        let separator = self.separator.to_string();
        match self.encoding {
            Encoding::Percent => {
                let encoded = names.map(|name| percent_encoded(name, Some(self.separator)));
                encoded.collect::<Vec<_>>().join(&separator)
            }
            Encoding::Raw => {
                let is_clear = |name: &&str| {
                    !name.contains(|character: char| character.is_control() || character == self.separator)
                        && name.trim() == *name
                };
                names.map(String::as_str).filter(is_clear).collect::<Vec<_>>().join(&separator)
            }
        }
    }
}

impl Source {
    fn compile(spec: &HeaderSpec, setting: &SettingPath) -> Result<Self, AccessError> {
        match (&spec.value, &spec.claim) {
            (Some(content), None) => Ok(Self::Known(*content)),
            (None, Some(path)) => ClaimPath::parse(path)
                .map(Self::Claim)
                .map_err(|error| AccessError::new(setting.name("claim"), error.to_string())),
            (None, None) => Err(AccessError::with_remedy(
                setting.clone(),
                "says nothing of what is in the header",
                "write `value`, such as `value = \"id\"`, or the path of a claim, such as `claim = \"department\"`",
            )),
            (Some(_), Some(_)) => {
                let reason = "stands beside `value`, and a header has one content";
                Err(AccessError::with_remedy(setting.name("claim"), reason, "remove one of them"))
            }
        }
    }
}

/// Returns the character that separates names.
fn separator(text: &str) -> Option<char> {
    let mut characters = text.chars();
    match (characters.next(), characters.next()) {
        (Some(one @ (',' | ';' | '|' | ' ')), None) => Some(one),
        _ => None,
    }
}

/// Percent-encodes all but visible ASCII and inner spaces, which a header can carry; also `%` itself and, in a list, the
/// separator.
fn percent_encoded(text: &str, separator: Option<char>) -> String {
    let mut out = String::with_capacity(text.len());
    for (index, byte) in text.bytes().enumerate() {
        let edge = index == 0 || index + 1 == text.len();
        let plain = byte.is_ascii_graphic() || (byte == b' ' && !edge);
        if plain && byte != b'%' && separator != Some(char::from(byte)) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::claims::Claims;
    use crate::limits::Limits;
    use crate::oidc::facts::{KeptClaims, SessionFacts};
    use crate::oidc::user::{TeamSource, UserId, UserKind};

    fn user(name: &str, teams: &[&str]) -> User {
        User {
            id: UserId(7),
            username: "zoë".to_owned(),
            kind: UserKind::Regular,
            active: true,
            profile: [("name".to_owned(), name.to_owned())].into(),
            teams: teams.iter().map(|team| ((*team).to_owned(), TeamSource::Mapping)).collect(),
        }
    }

    fn compile(json: &str) -> Result<Headers, AccessError> {
        let spec = serde_json::from_str(json).expect("a specification");
        Headers::compile(&spec, &SettingPath::of("headers"))
    }

    fn values(json: &str, user: &User) -> Vec<(String, String)> {
        let headers = compile(json).expect(json);
        let value = |header: &Header| header.value(user.into()).expect("not signed");
        headers.iter().map(|header| (header.name().to_owned(), value(header))).collect()
    }

    // attack: headers.line-breaks, headers.non-ascii
    #[test]
    fn headers_carry_what_they_can() {
        for (text, separator, encoded) in [
            ("ada", None, "ada"),
            ("Ada Lovelace", None, "Ada Lovelace"),
            (" x ", None, "%20x%20"),
            ("a\r\nX: y", None, "a%0D%0AX: y"),
            ("100%", None, "100%25"),
            ("Zoë", None, "Zo%C3%AB"),
            ("a,b", Some(','), "a%2Cb"),
            ("a,b", Some('|'), "a,b"),
            ("a|b c", Some('|'), "a%7Cb c"),
            ("b c", Some(' '), "b%20c"),
            ("a,b", None, "a,b"),
            ("\u{7f}", None, "%7F"),
        ] {
            assert_eq!(percent_encoded(text, separator), encoded);
        }
    }

    #[test]
    fn presets_have_the_names_that_applications_expect() {
        let zoe = user("Zoë", &["b", "a,c"]);
        for (preset, wanted) in [
            (
                "claimgate",
                "X-Auth-User: zo%C3%AB, X-Auth-Email: , X-Auth-Teams: a%2Cc,b, X-Auth-Name: Zo%C3%AB",
            ),
            (
                "authelia",
                "Remote-User: zo%C3%AB, Remote-Groups: a%2Cc,b, Remote-Name: Zo%C3%AB, Remote-Email: ",
            ),
            (
                "oauth2-proxy",
                "X-Forwarded-User: zo%C3%AB, X-Forwarded-Email: , X-Forwarded-Groups: a%2Cc,b, X-Forwarded-Preferred-Username: zo%C3%AB",
            ),
            (
                "grafana",
                "X-WEBAUTH-USER: zo%C3%AB, X-WEBAUTH-NAME: Zo%C3%AB, X-WEBAUTH-EMAIL: , X-WEBAUTH-GROUPS: a%2Cc,b",
            ),
            ("none", ""),
        ] {
            let sent = values(&format!(r#"{{"preset": "{preset}"}}"#), &zoe);
            let sent: Vec<String> = sent.iter().map(|(name, value)| format!("{name}: {value}")).collect();
            assert_eq!(sent.join(", "), wanted);
        }
    }

    // attack: headers.raw-list, headers.line-breaks
    #[test]
    fn a_raw_value_is_the_text_itself_or_left_out() {
        let json = r#"{"preset": "none", "encoding": "raw", "header": [
            {"name": "X-Name", "value": "name"},
            {"name": "X-Teams", "value": "teams", "separator": "|"},
            {"name": "X-User", "value": "username", "encoding": "percent"},
            {"name": "X-Id", "value": "id"},
            {"name": "X-Kind", "value": "kind"}
        ]}"#;
        let of = |name, teams| values(json, &user(name, teams)).into_iter().map(|(_, value)| value).collect();
        let sent: Vec<String> =
            of(" Zoë, 100% ", &["b|Administrators", " Administrators", "a,c", "d\r\nX: y", "ü"]);
        assert_eq!(sent, ["Zoë, 100%", "a,c|ü", "zo%C3%AB", "7", "regular"]);
        for name in ["a\r\nX-User: root", "a\u{0}", "a\u{85}b"] {
            let sent: Vec<String> = of(name, &[]);
            assert_eq!(sent[0], "", "{name:?}");
        }
    }

    // attack: headers.line-breaks, headers.raw-list
    #[test]
    fn a_claim_is_a_list_of_its_texts() {
        let claims = serde_json::json!({
            "department": "Physics", "level": 3, "on_call": true, "address": {"city": "Zürich"}, "none": null,
            "roles": ["b", "a;c", {"x": 1}, ["nested"], null, " d", "e\r\nX: y", 7],
        });
        for (claim, percent, raw) in [
            ("department", "Physics", "Physics"),
            ("level", "3", "3"),
            ("on_call", "true", "true"),
            ("address", "", ""),
            ("$.address.city", "Z%C3%BCrich", "Zürich"),
            ("none", "", ""),
            ("missing", "", ""),
            ("roles", "b;a%3Bc;%20d;e%0D%0AX: y;7", "b;7"),
            ("$.roles[*]", "b;a%3Bc;nested;%20d;e%0D%0AX: y;7", "b;nested;7"),
        ] {
            let headers = |encoding: &str| {
                let header = serde_json::json!({"name": "X", "claim": claim, "separator": ";"});
                compile(
                    &serde_json::json!({"preset": "none", "encoding": encoding, "header": [header]})
                        .to_string(),
                )
            };
            let path = [ClaimPath::parse(claim).expect("a path")];
            let kept = SessionFacts { authenticated: None, claims: KeptClaims::of(&claims, &path).0 };
            let presented = Claims::parse(claims.to_string().as_bytes(), &Limits::DEFAULT).expect("claims");
            let user = user("Ada", &[]);
            for (encoding, wanted) in [("percent", percent), ("raw", raw)] {
                let headers = headers(encoding).expect(claim);
                let header = headers.iter().next().expect("one");
                for caller in [Caller::of_session(&user, &kept), Caller::of_token(None, &presented)] {
                    assert_eq!(header.value(caller).as_deref(), Some(wanted), "{claim} {encoding}");
                }
                let older = SessionFacts::default();
                assert_eq!(header.value(Caller::of_session(&user, &older)).as_deref(), Some(""), "not kept");
                assert_eq!(header.value((&user).into()).as_deref(), Some(""), "of no sign-in");
            }
        }
    }

    #[test]
    fn a_name_occurs_once_and_means_nothing_else() {
        let refusal = |name: &str| {
            let header = serde_json::json!({"header": [{"name": name, "value": "id"}]});
            compile(&header.to_string()).expect_err(name).to_string()
        };
        assert!(refusal("Host").starts_with("headers.header[0].name: `Host` has a meaning of its own"));
        for name in ["X-Auth-User", "x-auth-user"] {
            assert!(refusal(name).contains("another header has the name"), "{name}");
        }
        compile(r#"{"header": [{"name": "X-Forwarded-User", "value": "username"}]}"#).expect("allowed");
    }

    #[test]
    fn separators_and_numbers_are_checked() {
        let refusal = |json: &str| compile(json).expect_err(json).to_string();
        let one = |rest: &str| format!(r#"{{"header": [{{"name": "X", {rest}}}]}}"#);
        for separator in ["", ",,", "a", "%", "-", "\\n"] {
            let header = one(&format!(r#""value": "teams", "separator": "{separator}""#));
            assert!(refusal(&header).contains("does not separate names"), "{separator}");
        }
        assert!(refusal(&one(r#""value": "name", "separator": ",""#)).contains("no list"));
        let many: Vec<_> =
            (0..33).map(|n| serde_json::json!({"name": format!("X-{n}"), "value": "id"})).collect();
        let many = serde_json::json!({"preset": "none", "header": many});
        assert!(refusal(&many.to_string()).contains("32 headers at most"));
    }
}
