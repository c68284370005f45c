//! The providers that `claimgate init` knows: what the file says of each, and where its addresses are entered.

/// A kind of provider.
#[derive(Debug)]
pub(super) struct Kind {
    /// The name on the command line, and the id of the provider in its addresses.
    pub(super) name: &'static str,
    /// The name for people.
    pub(super) title: &'static str,
    /// An issuer as an example.
    pub(super) issuer: &'static str,
    /// What to know of the issuer.
    pub(super) about_issuer: &'static str,
    /// The issuer at which anyone can have an account, if there is one.
    pub(super) open_issuer: Option<&'static str>,
    /// Settings of `[[provider]]` beside issuer and client, in TOML.
    pub(super) provider: &'static str,
    /// Settings of `[identity]`, in TOML.
    pub(super) identity: &'static str,
    /// An example of a rule from a group to a team, in TOML.
    pub(super) team: &'static str,
    /// Whether the provider sends back-channel logouts.
    pub(super) sends_logouts: bool,
    /// Where the addresses are entered at the provider.
    pub(super) registration: &'static str,
}

impl Kind {
    /// Returns the kind of a name.
    pub(super) fn named(name: &str) -> Option<&'static Self> {
        KINDS.iter().find(|kind| kind.name == name)
    }

    /// Reports whether its claims hold groups.
    pub(super) fn has_groups(&self) -> bool {
        self.identity.contains("groups = ")
    }
}

/// The tenant of Entra ID that all personal accounts of Microsoft belong to.
const PERSONAL_ACCOUNTS: &str = "9188040d-6c67-4c5b-b112-36a304b66dad";

/// Reports whether anyone can have an account at an issuer, whatever kind it is said to be.
pub(super) fn is_open(issuer: &str) -> bool {
    let issuer = issuer.trim_end_matches('/');
    KINDS.iter().any(|kind| kind.open_issuer == Some(issuer)) || issuer.contains(PERSONAL_ACCOUNTS)
}

/// The kinds, in the order in which they are offered.
pub(super) const KINDS: &[Kind] = &[
    Kind {
        name: "keycloak",
        title: "Keycloak",
        issuer: "https://keycloak.example.com/realms/acme",
        about_issuer: "The address of the realm, without a slash at the end.",
        open_issuer: None,
        provider: "",
        identity: r#"username = "preferred_username"
# Realm roles come with the client scope `roles` (mapper "realm roles", "Add to ID token"), groups with a mapper
# "Group Membership"; with "Full group path" their names begin with a slash.
groups = ["$.realm_access.roles[*]", "groups"]"#,
        team: "group = \"crm-admin\" # a role or a group\nteam = \"Administrators\"",
        sends_logouts: true,
        registration: "Clients → Create client → OpenID Connect, \"Client authentication\" on; under \"Logout settings\" \
                       \"Front channel logout\" off and \"Backchannel logout session required\" on",
    },
    Kind {
        name: "entra",
        title: "Entra ID",
        issuer: "https://login.microsoftonline.com/00000000-0000-0000-0000-000000000000/v2.0",
        about_issuer: "The issuer of your tenant, with its id; `common` and `organizations` are no issuers.",
        open_issuer: None,
        provider: "scopes = [\"profile\", \"email\"]",
        identity: r#"username = "preferred_username"
# Object identifiers, if the registration has a groups claim; app roles are in `roles`. Above 200 groups Entra ID leaves
# the claim out: assign the groups to the application, and choose "Groups assigned to the application".
groups = ["roles", "groups"]"#,
        team: "group = \"11111111-1111-1111-1111-111111111111\" # a group's object identifier, or an app role\nteam = \"Administrators\"",
        sends_logouts: false,
        registration: "App registrations → New registration, Web; \"Token configuration\" → \"Add groups claim\"",
    },
    Kind {
        name: "okta",
        title: "Okta",
        issuer: "https://example.okta.com",
        about_issuer: "With a custom authorization server it ends with /oauth2/NAME.",
        open_issuer: None,
        provider: "scopes = [\"profile\", \"email\", \"phone\", \"groups\"]",
        identity: r#"username = "preferred_username"
# The groups claim of the application, with a filter ("Sign On" → "OpenID Connect ID Token").
groups = ["groups"]"#,
        team: "prefix = \"crm-\"\nteam = \"{rest}\"",
        sends_logouts: false,
        registration: "Applications → Create App Integration → OIDC, Web Application",
    },
    Kind {
        name: "auth0",
        title: "Auth0",
        issuer: "https://example.eu.auth0.com/",
        about_issuer: "It ends with a slash, and is compared exactly.",
        open_issuer: None,
        provider: "",
        identity: r#"username = ["email", "sub"]
require_verified_email = true
# Roles need an Action that sets a claim whose name is a URL.
groups = ["https://example.com/roles"]"#,
        team: "group = \"Admin\"\nteam = \"Administrators\"",
        sends_logouts: true,
        registration: "Applications → Create Application → Regular Web Application; back-channel logout needs an Enterprise plan",
    },
    Kind {
        name: "google",
        title: "Google",
        issuer: "https://accounts.google.com",
        about_issuer: "The same for all of Google.",
        open_issuer: Some("https://accounts.google.com"),
        provider: "scopes = [\"profile\", \"email\"]",
        identity: "# Google has no groups in its tokens.\nusername = \"email\"\nrequire_verified_email = true",
        team: "",
        sends_logouts: false,
        registration: "Google Cloud console → Credentials → OAuth client ID → Web application",
    },
    Kind {
        name: "gitlab",
        title: "GitLab",
        issuer: "https://gitlab.com",
        about_issuer: "The address of the instance, without a slash at the end.",
        open_issuer: Some("https://gitlab.com"),
        provider: "scopes = [\"profile\", \"email\"]",
        identity: r#"username = ["preferred_username", "nickname"]
# The paths of the groups with a direct membership.
groups = ["groups_direct"]"#,
        team: "prefix = \"acme/crm/\"\nteam = \"{rest}\"",
        sends_logouts: false,
        registration: "Applications → Add new application, \"Confidential\", with the scopes openid, profile and email",
    },
    Kind {
        name: "authentik",
        title: "authentik",
        issuer: "https://authentik.example.com/application/o/claimgate/",
        about_issuer: "It ends with the slug of the application and a slash.",
        open_issuer: None,
        provider: "scopes = [\"profile\", \"email\"]",
        identity: "username = \"preferred_username\"\n# They come with the scope `profile`.\ngroups = [\"groups\"]",
        team: "group = \"authentik Admins\"\nteam = \"Administrators\"",
        sends_logouts: true,
        registration: "Applications → Create with provider → OAuth2/OpenID, \"Confidential\", with a signing key",
    },
    Kind {
        name: "dex",
        title: "Dex",
        issuer: "https://dex.example.com",
        about_issuer: "The `issuer` of Dex's own configuration.",
        open_issuer: None,
        provider: "scopes = [\"profile\", \"email\", \"groups\"]",
        identity: r#"username = ["preferred_username", "email"]
# From connectors that know groups, such as LDAP and GitHub.
groups = ["groups"]"#,
        team: "group = \"acme:admins\"\nteam = \"Administrators\"",
        sends_logouts: false,
        registration: "`staticClients` of Dex's configuration: the redirect URI in `redirectURIs`",
    },
    Kind {
        name: "canaille",
        title: "Canaille",
        issuer: "https://canaille.example.com",
        about_issuer: "`PREFERRED_URL_SCHEME` and `SERVER_NAME` of Canaille's configuration, without a slash at the end.",
        open_issuer: None,
        provider: r#"scopes = ["profile", "email", "groups"]
# It sends no logouts: sessions ask it again, for the grant type refresh_token of the client. What it answers for a person
# who is locked, and that its UserInfo has all claims.
refresh_interval = "15m"
refresh_end_errors = ["invalid_request"]
userinfo_is_complete = true"#,
        identity: r#"# The name that does not change: `preferred_username` is one that people choose.
username = "sub"
groups = ["groups"]"#,
        team: "group = \"admins\"\nteam = \"Administrators\"",
        sends_logouts: false,
        registration: "Administration → Clients → Add: grant types authorization_code and refresh_token, the scopes openid, profile, email \
                       and groups, and as its audience the client itself",
    },
    Kind {
        name: "apple",
        title: "Apple",
        issuer: "https://appleid.apple.com",
        about_issuer: "The same for all of Apple.",
        open_issuer: Some("https://appleid.apple.com"),
        provider: r#"# The client secret is a JWT that lives six months at most: write a new one into its file before, and reload.
token_endpoint_auth_method = "client_secret_post"
scopes = ["email"]
response_mode = "form_post""#,
        identity: "# Apple has no groups in its tokens.\nusername = [\"email\", \"sub\"]\nrequire_verified_email = true",
        team: "",
        sends_logouts: false,
        registration: "Certificates, Identifiers & Profiles → Identifiers → Services IDs → Sign in with Apple",
    },
    Kind {
        name: "generic",
        title: "another OpenID Provider",
        issuer: "https://idp.example.com",
        about_issuer: "As the provider writes it in its discovery document: it is compared exactly.",
        open_issuer: None,
        provider: "",
        identity: r#"# A claim that people cannot choose: some providers let them change this one, and none `sub`.
username = "preferred_username"
# A claim name, or a JSONPath such as "$.realm_access.roles[*]"; `claimgate explain` shows what they select.
groups = ["groups"]"#,
        team: "group = \"crm-admin\"\nteam = \"Administrators\"",
        sends_logouts: true,
        registration: "in the registration of the client, which uses the authorization code with PKCE",
    },
];
