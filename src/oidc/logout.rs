//! RP-Initiated Logout 1.0: the provider's end-session endpoint, for a browser whose session here has ended.

use super::discovery::ProviderMetadata;

/// The longest `id_token_hint` sent, and the longest ID token kept for it, in bytes: servers refuse URLs over 8 KiB, and the ID tokens of
/// users with many groups are longer.
pub(super) const LONGEST_HINT: usize = 6 * 1024;

/// A logout request at a provider.
///
/// ```
/// use claimgate::oidc::discovery::{self, EndpointOverrides};
/// use claimgate::oidc::logout::LogoutRequest;
/// # use claimgate::oidc::Response;
///
/// # let document = r#"{"issuer": "https://idp.example.com", "jwks_uri": "https://idp.example.com/jwks",
/// #     "authorization_endpoint": "https://idp.example.com/auth",
/// #     "token_endpoint": "https://idp.example.com/token", "end_session_endpoint": "https://idp.example.com/end"}"#;
/// # let response = Response::new(document.into());
/// let metadata = discovery::read(&response, "https://idp.example.com", &EndpointOverrides::default(), false)?;
/// let request = LogoutRequest {
///     metadata: Some(&metadata),
///     template: None,
///     id_token: Some("an.id.token"),
///     client_id: "crm",
///     site_url: "https://crm.example.com",
///     post_logout_redirect_uri: "https://crm.example.com/bye",
///     state: "random",
/// };
/// assert_eq!(
///     request.url().as_deref(),
///     Some("https://idp.example.com/end?id_token_hint=an.id.token&client_id=crm&\
///         post_logout_redirect_uri=https%3A%2F%2Fcrm.example.com%2Fbye&state=random"),
/// );
/// # Ok::<(), claimgate::oidc::discovery::DiscoveryError>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct LogoutRequest<'r> {
    /// The provider's metadata, if known.
    pub metadata: Option<&'r ProviderMetadata>,
    /// The configured `logout_url`, which replaces the request: `{client_id}` and `{site_url}` in it are
    /// replaced, URL-encoded.
    pub template: Option<&'r str>,
    /// The ID token that opened the session, if it is still known.
    pub id_token: Option<&'r str>,
    /// The relying party's `client_id`.
    pub client_id: &'r str,
    /// The relying party's URL, for the template.
    pub site_url: &'r str,
    /// The URL to return to.
    pub post_logout_redirect_uri: &'r str,
    /// The `state` that the provider returns.
    pub state: &'r str,
}

impl LogoutRequest<'_> {
    /// Returns the URL for the browser (§2), or `None` if the provider has no end-session endpoint and
    /// the configuration no `logout_url`.
    #[must_use]
    pub fn url(&self) -> Option<String> {
        if let Some(template) = self.template {
            return Some(fill_template(template, self.client_id, self.site_url));
        }
        let endpoint = self.metadata?.end_session_endpoint.as_ref()?;
        // Without the hint a provider may ask the user first; with one that is too long it answers 414.
        let hint =
            self.id_token.filter(|hint| hint.len() <= LONGEST_HINT).map(|hint| ("id_token_hint", hint));
        Some(endpoint.with_query(hint.into_iter().chain([
            ("client_id", self.client_id),
            ("post_logout_redirect_uri", self.post_logout_redirect_uri),
            ("state", self.state),
        ])))
    }
}

/// Fills in the placeholders of a `logout_url`, `{client_id}` and `{site_url}`, URL-encoded.
///
/// ```
/// use claimgate::oidc::logout::fill_template;
///
/// let address = fill_template("https://idp.example.com/bye?client={client_id}", "crm", "https://crm.example.com");
/// assert_eq!(address, "https://idp.example.com/bye?client=crm");
/// ```
#[must_use]
pub fn fill_template(template: &str, client_id: &str, site_url: &str) -> String {
    let encode = |text: &str| -> String { url::form_urlencoded::byte_serialize(text.as_bytes()).collect() };
    template.replace("{client_id}", &encode(client_id)).replace("{site_url}", &encode(site_url))
}
