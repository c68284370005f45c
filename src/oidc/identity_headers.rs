//! The identity of a user as header fields, for an application behind a proxy.

use super::user::User;

/// Returns the identity headers of a user, always all four: the proxy overwrites what the client sent even
/// where a value is empty. Values are visible ASCII and inner spaces.
#[must_use]
pub fn of(user: &User) -> [(&'static str, String); 4] {
    let teams = user.teams.keys().map(|team| encode(team, true)).collect::<Vec<_>>().join(",");
    [
        ("x-auth-user", encode(&user.username, false)),
        ("x-auth-email", encode(user.email().unwrap_or_default(), false)),
        ("x-auth-teams", teams),
        ("x-auth-name", encode(&user.display_name(), false)),
    ]
}

/// Returns the identity headers of a request without a user: all four, empty.
#[must_use]
pub fn without_user() -> [(&'static str, String); 4] {
    ["x-auth-user", "x-auth-email", "x-auth-teams", "x-auth-name"].map(|name| (name, String::new()))
}

/// Percent-encodes all but visible ASCII and inner spaces, which a header can carry; also `%` itself
/// and, in a list, the comma.
#[must_use]
pub fn encode(text: &str, in_list: bool) -> String {
    let mut out = String::with_capacity(text.len());
    for (index, byte) in text.bytes().enumerate() {
        let edge = index == 0 || index + 1 == text.len();
        let plain = byte.is_ascii_graphic() || (byte == b' ' && !edge);
        if plain && byte != b'%' && !(in_list && byte == b',') {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::encode;

    // attack: headers.line-breaks, headers.non-ascii
    #[test]
    fn headers_carry_what_they_can() {
        for (text, list, encoded) in [
            ("ada", false, "ada"),
            ("Ada Lovelace", false, "Ada Lovelace"),
            (" x ", false, "%20x%20"),
            ("a\r\nX: y", false, "a%0D%0AX: y"),
            ("100%", false, "100%25"),
            ("Zoë", false, "Zo%C3%AB"),
            ("a,b", true, "a%2Cb"),
            ("a,b", false, "a,b"),
            ("\u{7f}", false, "%7F"),
        ] {
            assert_eq!(encode(text, list), encoded);
        }
    }
}
