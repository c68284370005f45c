//! The sender of a request, as headers for its application.

use axum::http::{HeaderMap, HeaderName, HeaderValue};

use claimgate::access::{Caller, Headers};

/// Most bytes of the headers of one answer, names and values together: proxies and applications refuse longer ones, each
/// in its own way.
const MOST_BYTES: usize = 24 * 1024;

/// Returns the headers for the sender of a request; `assertion` is the signed one.
///
/// # Errors
/// Their length in bytes, if it is more than [`MOST_BYTES`].
pub(crate) fn headers(wanted: &Headers, caller: Caller<'_>, assertion: &str) -> Result<HeaderMap, usize> {
    let mut headers = HeaderMap::new();
    let mut bytes = 0;
    for header in wanted.iter() {
        let value = header.value(caller);
        let value = value.as_deref().unwrap_or(assertion);
        bytes += header.name().len() + value.len();
        let name = HeaderName::from_bytes(header.name().as_bytes()).expect("a compiled name is one");
        let value = HeaderValue::from_bytes(value.as_bytes()).expect("a value holds no control character");
        headers.insert(name, value);
    }
    if bytes > MOST_BYTES { Err(bytes) } else { Ok(headers) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use claimgate::access::HeadersSpec;
    use claimgate::identity::SettingPath;
    use claimgate::oidc::user::{TeamSource, User, UserId, UserKind};

    #[test]
    fn every_header_is_sent_and_their_length_is_bounded() {
        let user = |teams: usize| User {
            id: UserId(1),
            username: "zoë".to_owned(),
            kind: UserKind::Regular,
            active: true,
            profile: [("name".to_owned(), "Zoë".to_owned())].into(),
            teams: (0..teams).map(|team| (format!("team {team:04}"), TeamSource::Mapping)).collect(),
        };
        let spec: HeadersSpec = serde_json::from_str(r#"{"encoding": "raw"}"#).expect("a specification");
        let wanted = Headers::compile(&spec, &SettingPath::of("headers")).expect("headers");
        let sent = headers(&wanted, (&user(2)).into(), "").expect("short");
        let sent = |name: &str| sent[name].as_bytes();
        assert_eq!(sent("x-auth-user"), "zoë".as_bytes());
        assert_eq!(sent("x-auth-email"), b"");
        assert_eq!(sent("x-auth-teams"), b"team 0000,team 0001");
        assert!(headers(&wanted, (&user(2_400)).into(), "").is_ok());
        assert!(headers(&wanted, (&user(2_460)).into(), "").is_err_and(|bytes| bytes > MOST_BYTES));
    }
}
