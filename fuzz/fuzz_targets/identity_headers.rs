//! The identity headers of any user are values that a header field can carry. The application gets back what the encoded
//! ones encode: each name, each team; and of the raw ones no team that the user is not in.
//!
//! Fields, separated by U+001E: username, display name, address; each further field is a team.
#![no_main]

use std::collections::BTreeMap;

use claimgate::access::{Header, Headers, HeadersSpec};
use claimgate::identity::SettingPath;
use claimgate::oidc::user::{TeamSource, User, UserId, UserKind};
use http::{HeaderName, HeaderValue};
use libfuzzer_sys::fuzz_target;

/// Decodes percent-encoding.
fn decode(text: &str) -> Vec<u8> {
    let mut bytes = text.bytes();
    let mut decoded = Vec::new();
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let digits = [bytes.next().expect("a digit"), bytes.next().expect("a digit")];
            let digits = std::str::from_utf8(&digits).expect("ASCII");
            decoded.push(u8::from_str_radix(digits, 16).expect("two hexadecimal digits"));
        } else {
            decoded.push(byte);
        }
    }
    decoded
}

fuzz_target!(|text: &str| {
    let mut fields = text.split('\u{1e}');
    let mut next = || fields.next().unwrap_or_default().to_owned();
    let (username, name, email) = (next(), next(), next());
    let profile = BTreeMap::from([("name".to_owned(), name), ("email".to_owned(), email)]);
    let teams: BTreeMap<_, _> =
        fields.filter(|team| !team.is_empty()).map(|team| (team.to_owned(), TeamSource::Mapping)).collect();
    let user = User { id: UserId(1), username, kind: UserKind::Regular, active: true, profile, teams };
    let sent = |spec: &str| -> Vec<(String, String)> {
        let spec: HeadersSpec = serde_json::from_str(spec).expect("a specification");
        let headers = Headers::compile(&spec, &SettingPath::default()).expect("headers");
        let value = |header: &Header| header.value((&user).into()).expect("not signed");
        headers.iter().map(|header| (header.name().to_ascii_lowercase(), value(header))).collect()
    };
    let headers = sent("{}");
    let raw = sent(r#"{"encoding": "raw"}"#);
    for (name, value) in headers.iter().chain(&raw) {
        HeaderName::from_bytes(name.as_bytes()).expect("a field name");
        HeaderValue::from_bytes(value.as_bytes()).expect("a field value");
        // A proxy trims the ends of a field value (RFC 9110 §5.5).
        assert_eq!(value.trim(), value);
        assert!(!value.contains(char::is_control), "{value:?}");
    }
    assert!(headers.iter().all(|(_, value)| value.bytes().all(|byte| (b' '..=b'~').contains(&byte))));
    let of = |headers: &[(String, String)], name: &str| {
        let (_, value) = headers.iter().find(|(header, _)| header == name).expect("sent");
        value.clone()
    };
    let value = |name: &str| of(&headers, name);
    assert_eq!(decode(&value("x-auth-user")), user.username.as_bytes());
    assert_eq!(decode(&value("x-auth-email")), user.email().unwrap_or_default().as_bytes());
    assert_eq!(decode(&value("x-auth-name")), user.display_name().as_bytes());
    let list = value("x-auth-teams");
    let sent: Vec<Vec<u8>> = list.split(',').filter(|team| !team.is_empty()).map(decode).collect();
    let teams: Vec<Vec<u8>> = user.teams.keys().map(|team| team.as_bytes().to_vec()).collect();
    assert_eq!(sent, teams);
    let list = of(&raw, "x-auth-teams");
    assert!(list.split(',').filter(|team| !team.is_empty()).all(|team| user.teams.contains_key(team.trim())));
});
