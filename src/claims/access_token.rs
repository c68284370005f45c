//! Access tokens without the media type of RFC 9068, distinguished from other tokens by their claims (RFC 8725
//! §3.12).

use serde_json::Value;

use super::Claims;

/// Claims by which a provider states what a token is, and their values in access tokens: of Keycloak, and of Amazon
/// Cognito.
const STATED: [(&str, &[&str]); 2] = [("typ", &["Bearer", "DPoP"]), ("token_use", &["access"])];

/// Claims that access tokens have and ID tokens do not: the scope or the client (RFC 9068 §2.2), under the names of
/// the RFC, of Entra ID (`scp`, `azpacr`, `appidacr`) and of Okta (`scp`, `cid`).
const OF_ACCESS_TOKENS: [&str; 6] = ["scope", "scp", "client_id", "cid", "azpacr", "appidacr"];

/// Claims that belong to a sign-in (OpenID Connect Core §2, §3.3.2.11).
const OF_ID_TOKENS: [&str; 3] = ["nonce", "at_hash", "c_hash"];

/// Reports whether the claims are those of an access token: they state it, or they have a claim of access tokens and
/// none of a sign-in. Logout tokens are recognised by their event elsewhere.
pub(super) fn is_access_token(claims: &Claims) -> bool {
    let stated = STATED
        .iter()
        .filter_map(|(claim, values)| Some((claims.get(claim)?, values)))
        .map(|(value, values)| value.as_str().is_some_and(|value| values.contains(&value)))
        .reduce(|one, other| one && other);
    if let Some(is_access_token) = stated {
        return is_access_token;
    }
    let has = |claim: &&str| claims.get(claim).is_some_and(|value| !is_blank(value));
    OF_ACCESS_TOKENS.iter().any(has) && !OF_ID_TOKENS.iter().any(|claim| claims.get(claim).is_some())
}

fn is_blank(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(elements) => elements.is_empty(),
        _ => false,
    }
}
