//! The contenders of a case, each with its keys prepared as its own documents advise.

mod claimgate;
mod elsewhere;
mod jsonwebtoken;
mod jwt_simple;
mod paths;
mod raw;

use std::rc::Rc;

use crate::measure::{Contender, OneByOne};
use crate::tokens::Tokens;

pub use elsewhere::Elsewhere;
pub use paths::{PATHS, path};

/// Everybody who verifies tokens of this algorithm.
pub fn of(tokens: &Tokens, elsewhere: &Elsewhere) -> Vec<Box<dyn Contender>> {
    let mut all = claimgate::contenders(tokens);
    all.extend(jsonwebtoken::contenders(tokens));
    all.extend(jwt_simple::contenders(tokens));
    all.extend(elsewhere.contenders(tokens));
    all.extend(raw::contenders(tokens));
    all
}

/// One that takes tokens one by one and judges them whole.
fn whole(
    name: &'static str,
    tokens: &Tokens,
    accepts: impl FnMut(&String) -> bool + 'static,
) -> Box<dyn Contender> {
    let items = Rc::clone(&tokens.good);
    Box::new(OneByOne { name, judges_claims: true, items, item_of: str::to_owned, accepts })
}
