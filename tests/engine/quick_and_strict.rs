//! The quick way through an ordinary payload, beside the strict one, over every short text: a line
//! feed at the end changes nothing in JSON, and takes the strict way.

use claimgate::claims::{Claims, ClaimsError, Policy, TokenKind};
use claimgate::json;
use claimgate::jws::Header;
use claimgate::limits::Limits;
use claimgate::time::UnixTime;

/// Every text of these pieces, up to so many of them, in the hole of a payload.
fn every(pieces: &[&str], most: usize, payload: (&str, &str), json_items: usize) {
    // Small limits, so that they are reached.
    let limits = Limits { json_depth: 4, json_items, ..Limits::DEFAULT };
    let header = Header::parse(br#"{"alg":"HS256"}"#, &limits).expect("a header");
    let of_kind = |kind| Policy::of_kind(kind).issuer("i").audience("a");
    let policies = [
        Policy::of_kind(TokenKind::Jwt).any_audience().require_only(["aud", "sid", "events"]),
        of_kind(TokenKind::IdToken).nonce("n"),
        of_kind(TokenKind::LogoutToken),
        of_kind(TokenKind::SecurityEvent),
    ];
    let mut accepted = 0_u32;
    let mut chosen = Vec::new();
    let mut check = |chosen: &[usize]| {
        let hole: String = chosen.iter().map(|piece| pieces[*piece]).collect();
        let text = format!("{}{hole}{}", payload.0, payload.1);
        let quick = Claims::parse(text.as_bytes(), &limits);
        let strict = Claims::parse(format!("{text}\n").as_bytes(), &limits);
        assert_eq!(quick, strict, "{text}");
        let (Ok(quick), Ok(strict)) = (quick, strict) else { return };
        accepted += 1;
        assert!(quick.audience().eq(strict.audience()), "{text}");
        assert_eq!(
            [quick.issuer(), quick.subject(), quick.token_id(), quick.session_id()],
            [strict.issuer(), strict.subject(), strict.token_id(), strict.session_id()],
            "{text}"
        );
        assert_eq!(
            [quick.expires_at(), quick.not_before(), quick.issued_at()],
            [strict.expires_at(), strict.not_before(), strict.issued_at()],
            "{text}"
        );
        for policy in &policies {
            let judge = |claims: &Claims| policy.validate(&header, claims, UnixTime(10));
            assert_eq!(judge(&quick), judge(&strict), "{text}");
        }
    };
    loop {
        check(&chosen);
        // The next one, as an odometer counts.
        let mut place = 0;
        loop {
            match chosen.get_mut(place) {
                Some(piece) if *piece + 1 < pieces.len() => {
                    *piece += 1;
                    break;
                }
                Some(piece) => *piece = 0,
                None if place == most => {
                    assert!(accepted > 3, "{accepted} texts are accepted");
                    return;
                }
                None => {
                    chosen.push(0);
                    break;
                }
            }
            place += 1;
        }
    }
}

#[test]
fn numbers() {
    let pieces = ["0", "1", "-", ".", "e", "+", " ", "12345678901234", "9007199254740993"];
    every(&pieces, 4, (r#"{"exp":"#, "}"), 6);
    every(&pieces, 4, (r#"{"x":"#, "}"), 6);
}

#[test]
fn audiences() {
    let pieces = ["[", "]", r#""a""#, r#""b]""#, r#""""#, ",", " ", "null", "{}"];
    every(&pieces, 5, (r#"{"iss":"i","sub":"s","exp":99,"iat":9,"nonce":"n","azp":"a","aud":"#, "}"), 9);
}

#[test]
fn names_and_nesting() {
    let pieces = [r#""a":"#, r#""":"#, r#""aud":"#, "{", "}", ",", "1", r#""a""#, " "];
    every(&pieces, 5, ("{", "}"), 4);
}

#[test]
fn logout_claims() {
    let pieces = [
        r#","events":{"#,
        r#""http://schemas.openid.net/event/backchannel-logout":"#,
        "{}",
        "}",
        "null",
        r#","nonce":"#,
        r#","sid":"#,
        r#""s""#,
        "[]",
    ];
    every(&pieces, 6, (r#"{"iss":"i","aud":"a","exp":99,"iat":9,"jti":"j","sub":"""#, "}"), 9);
}

#[test]
fn the_first_fault_of_a_payload_is_the_reason_also_where_it_is_no_text() {
    let limits = Limits { json_depth: 2, ..Limits::DEFAULT };
    for payload in
        [&b"[[[\xff"[..], b"{\"a\":\xff", b"{\"a\":\"\xff\"}", b"\xff", b"{} \xff", b"\xef\xbb\xbf{}\xff"]
    {
        let reason = json::parse_object(payload, &limits).expect_err("no JSON text");
        let refused = Claims::parse(payload, &limits).expect_err("no JSON text");
        assert_eq!(refused, ClaimsError::Json(reason), "{payload:?}");
    }
}
