//! The bearer token of a request.

use crate::refusal::Refusal;

/// Returns the token of `Authorization: Bearer` (RFC 6750 §2.1), or `None` if the request has no such header or one
/// of another scheme. Takes the values of all `Authorization` headers. A token in the body or in the query is not
/// read (§2.2, §2.3).
///
/// # Errors
/// [`Refusal::Malformed`] for several headers, or for a `Bearer` that one `b64token` does not follow.
pub(crate) fn token_of<'h>(
    authorization: impl IntoIterator<Item = &'h [u8]>,
) -> Result<Option<String>, Refusal> {
    let mut values = authorization.into_iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(Refusal::Malformed);
    }
    let end = value.iter().position(|byte| *byte == b' ').unwrap_or(value.len());
    let (scheme, token) = value.split_at(end);
    if !scheme.eq_ignore_ascii_case(b"Bearer") {
        return Ok(None);
    }
    let start = token.iter().position(|byte| *byte != b' ').unwrap_or(token.len());
    let token = std::str::from_utf8(&token[start..]).map_err(|_| Refusal::Malformed)?;
    if is_b64token(token) { Ok(Some(token.to_owned())) } else { Err(Refusal::Malformed) }
}

fn is_b64token(text: &str) -> bool {
    let unpadded = text.trim_end_matches('=');
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/".contains(&byte);
    !unpadded.is_empty() && unpadded.bytes().all(is_allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(values: &[&[u8]]) -> Result<Option<String>, Refusal> {
        token_of(values.iter().copied())
    }

    #[test]
    fn a_token_stands_behind_the_scheme() {
        for value in ["Bearer a.b-c_d~e+f/g==", "bearer a.b-c_d~e+f/g==", "BEARER   a.b-c_d~e+f/g=="] {
            assert_eq!(read(&[value.as_bytes()]), Ok(Some("a.b-c_d~e+f/g==".to_owned())), "{value}");
        }
    }

    #[test]
    fn another_scheme_is_no_token() {
        assert_eq!(read(&[]), Ok(None));
        for value in ["", "Basic YTpi", "BearerX a", "DPoP a.b.c", "Bearer\ta"] {
            assert_eq!(read(&[value.as_bytes()]), Ok(None), "{value}");
        }
    }

    #[test]
    fn a_malformed_header_and_several_are_refused() {
        for value in
            ["Bearer", "Bearer ", "Bearer a b", "Bearer a,b", "Bearer a, Bearer b", "Bearer =", "Bearer a=b"]
        {
            assert_eq!(read(&[value.as_bytes()]), Err(Refusal::Malformed), "{value}");
        }
        assert_eq!(read(&[b"Bearer \xff"]), Err(Refusal::Malformed));
        assert_eq!(read(&[b"Bearer a", b"Bearer a"]), Err(Refusal::Malformed));
        assert_eq!(read(&[b"Basic YTpi", b"Bearer a"]), Err(Refusal::Malformed));
    }
}
