use std::hint::black_box;
use std::rc::Rc;
use std::time::{SystemTime, UNIX_EPOCH};

use claimgate::Verifier;
use claimgate::alg::{Registry, Rsa};
use claimgate::claims::{AnyKind, Claims, Policy, TokenKind};
use claimgate::key::KeySet;
use claimgate::limits::Limits;
use claimgate::time::UnixTime;

use super::whole;
use crate::measure::{Contender, InBatches};
use crate::tokens::{CLIENT, ISSUER, IdClaims, Kind, LogoutClaims, SECRET, Tokens};

const BATCHES: [usize; 3] = [8, 64, 512];

pub fn contenders(tokens: &Tokens) -> Vec<Box<dyn Contender>> {
    let mut all = Vec::new();
    let own = verifier(tokens, Registry::builtin());
    all.push(whole("Claimgate", tokens, move |token| {
        own.verify(token, now()).is_ok_and(|token| {
            read(token.claims());
            true
        })
    }));
    let own = verifier(tokens, Registry::builtin());
    all.push(whole("Claimgate, all claims to Value", tokens, move |token| {
        own.verify(token, now()).is_ok_and(|token| {
            black_box(token.claims().as_value());
            true
        })
    }));
    let (own, kind) = (verifier(tokens, Registry::builtin()), tokens.kind);
    all.push(whole("Claimgate, to a struct", tokens, move |token| {
        own.verify(token, now()).is_ok_and(|token| match kind {
            Kind::Id => token.claims().deserialize::<IdClaims>().map(black_box).is_ok(),
            Kind::Logout => token.claims().deserialize::<LogoutClaims>().map(black_box).is_ok(),
        })
    }));
    for size in BATCHES.into_iter().filter(|size| *size <= tokens.good.len()) {
        let own = verifier(tokens, Registry::builtin());
        all.push(Box::new(InBatches {
            name: format!("Claimgate, batches of {size}"),
            size,
            tokens: Rc::clone(&tokens.good),
            accepts: move |batch: &[&str]| {
                let verified = own.verify_batch(batch, now());
                verified.iter().flatten().inspect(|token| read(token.claims())).count()
            },
        }));
    }
    if tokens.algorithm == "RS256" {
        let by_ring = Registry::builder().register(Rsa::RS256.by_ring()).build().expect("a registry");
        let own = verifier(tokens, by_ring);
        all.push(whole("Claimgate, by ring", tokens, move |token| {
            own.verify(token, now()).is_ok_and(|token| {
                read(token.claims());
                true
            })
        }));
    }
    all
}

/// The peers read the clock for every token, so Claimgate's caller does too.
fn now() -> UnixTime {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    UnixTime(i64::try_from(now.as_secs()).expect("this century"))
}

/// What a relying party looks at.
fn read(claims: &Claims) {
    black_box((
        claims.issuer(),
        claims.subject(),
        claims.token_id(),
        claims.expires_at(),
        claims.issued_at(),
    ));
    black_box(claims.session_id());
}

fn verifier(tokens: &Tokens, registry: Registry) -> Verifier<AnyKind> {
    let keys = if tokens.jwk.is_null() {
        KeySet::from_secret(SECRET.as_bytes())
    } else {
        KeySet::from_jwk(tokens.jwk.to_string().as_bytes(), &Limits::DEFAULT).expect("a JWK")
    };
    let kind = match tokens.kind {
        Kind::Id => TokenKind::IdToken,
        Kind::Logout => TokenKind::LogoutToken,
    };
    let policy = Policy::of_kind(kind).issuer(ISSUER).audience(CLIENT);
    let builder = Verifier::builder().registry(registry).algorithms([tokens.algorithm]);
    builder.keys(keys).policy(policy).build().expect("a verifier")
}
