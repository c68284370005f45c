//! RP-Initiated Logout 1.0: where a browser goes after its session here has ended.

use super::discovery::Metadata;
use super::session::OidcOrigin;

/// The longest ID token that travels in an address, in bytes: servers refuse addresses beyond 8 KiB,
/// and people with many groups have such tokens.
const LONGEST_HINT: usize = 6 * 1024;

/// The address of the provider's end-session endpoint with what belongs there (§2); none where the
/// provider has no such endpoint and the configuration no `logout_url`. `template` is the latter:
/// `{clientId}` and `{siteUrl}` are replaced, URL-encoded.
#[must_use]
pub fn request(
    metadata: Option<&Metadata>,
    template: Option<&str>,
    origin: &OidcOrigin,
    client_id: &str,
    site_url: &str,
    post_logout_redirect_uri: &str,
    state: &str,
) -> Option<String> {
    if let Some(template) = template {
        let encode =
            |text: &str| -> String { url::form_urlencoded::byte_serialize(text.as_bytes()).collect() };
        let filled = template.replace("{clientId}", &encode(client_id));
        return Some(filled.replace("{siteUrl}", &encode(site_url)));
    }
    let endpoint = metadata?.end_session_endpoint.as_ref()?;
    // Without the hint a provider may ask first; with one that is too long it answers 414.
    let hint =
        Some(("id_token_hint", origin.id_token.as_str())).filter(|(_, hint)| hint.len() <= LONGEST_HINT);
    Some(endpoint.with_query(hint.into_iter().chain([
        ("client_id", client_id),
        ("post_logout_redirect_uri", post_logout_redirect_uri),
        ("state", state),
    ])))
}
