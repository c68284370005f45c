//! The identity headers of any user are four values that a header field can carry, and the application
//! gets back what they encode: each name, each team.
//!
//! Fields, separated by U+001E: username, display name, address; each further field is a team.
#![no_main]

use std::collections::BTreeMap;

use claimgate::oidc::identity_headers;
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
    let headers = identity_headers::of(&user);
    for (name, value) in &headers {
        HeaderName::from_bytes(name.as_bytes()).expect("a field name");
        let field = HeaderValue::from_str(value).expect("a field value");
        assert_eq!(field.to_str().ok(), Some(value.as_str()));
        // A proxy trims the ends of a field value (RFC 9110 §5.5).
        assert_eq!(value.trim(), value);
        assert!(value.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{value:?}");
    }
    let value =
        |name: &str| headers.iter().find(|(header, _)| *header == name).map(|(_, value)| value.as_str());
    assert_eq!(decode(value("x-auth-user").expect("sent")), user.username.as_bytes());
    assert_eq!(decode(value("x-auth-email").expect("sent")), user.email().unwrap_or_default().as_bytes());
    assert_eq!(decode(value("x-auth-name").expect("sent")), user.display_name().as_bytes());
    let list = value("x-auth-teams").expect("sent");
    let sent: Vec<Vec<u8>> = list.split(',').filter(|team| !team.is_empty()).map(decode).collect();
    let teams: Vec<Vec<u8>> = user.teams.keys().map(|team| team.as_bytes().to_vec()).collect();
    assert_eq!(sent, teams);
});
