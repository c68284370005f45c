//! A sealed value opens as the text that was sealed, for its purpose and under its key alone, whatever
//! is changed in it; and a text that claims to be a pending sign-in is refused or belongs to its state.
#![no_main]

use std::sync::LazyLock;

use claimgate::oidc::pending::PendingSignIn;
use claimgate::oidc::seal::{KEY_LEN, Sealer};
use libfuzzer_sys::fuzz_target;

static SEALER: LazyLock<Sealer> = LazyLock::new(|| Sealer::new(&[7; KEY_LEN]).expect("a key"));
/// Seals nothing: the fuzzer learns what `SEALER` has sealed from the comparisons, and sends it again.
static UNUSED: LazyLock<Sealer> = LazyLock::new(|| Sealer::new(&[9; KEY_LEN]).expect("a key"));
static OTHER: LazyLock<Sealer> = LazyLock::new(|| Sealer::new(&[8; KEY_LEN]).expect("a key"));

fuzz_target!(|input: ([u8; 12], u16, char, &str)| {
    let (nonce, position, character, text) = input;
    // What a browser sends without having been given it.
    assert!(UNUSED.open("login", text).is_none(), "{:?} opens", text);
    let random = &mut |bytes: &mut [u8]| bytes.copy_from_slice(&nonce);
    let sealed = SEALER.seal("login", text, random);
    assert!(sealed.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'));
    assert_eq!(SEALER.open("login", &sealed).as_deref().map(String::as_str), Some(text));
    assert!(SEALER.open("logout", &sealed).is_none());
    assert!(OTHER.open("login", &sealed).is_none());
    let at = usize::from(position) % sealed.len();
    let mut changed = sealed.clone();
    changed.replace_range(at..=at, character.encode_utf8(&mut [0; 4]));
    assert_eq!(SEALER.open("login", &changed).is_some(), changed == sealed, "{changed}");
    assert!(SEALER.open("login", &sealed[..at]).is_none());
    assert!(PendingSignIn::open(&SEALER, &sealed).is_none(), "sealed for another purpose");
    let claimed = SEALER.seal("sign-in", text, random);
    if let Some(pending) = PendingSignIn::open(&SEALER, &claimed) {
        let again = pending.seal(&SEALER, random);
        let again = PendingSignIn::open(&SEALER, &again).expect("what was sealed opens");
        assert_eq!((again.provider(), again.state()), (pending.provider(), pending.state()));
        assert_eq!(again.return_to(), pending.return_to());
    }
});
