//! An address that is kept leads a browser to this site or to a host of the cookie's domain, whatever
//! the page it is resolved from; and it is kept unchanged when it is checked again.
#![no_main]

use claimgate::oidc::return_to::{MAX_RETURN_TO, Site, check};
use libfuzzer_sys::fuzz_target;
use url::Url;

const ORIGIN: &str = "https://sso.example.com";

fuzz_target!(|text: &str| {
    for cookie_domain in [None, Some("example.com")] {
        let site = Site { origin: ORIGIN, cookie_domain };
        let Some(kept) = check(&site, text) else { continue };
        assert!(text.len() <= MAX_RETURN_TO);
        assert!(!kept.contains(['\r', '\n', '\\', ' ']), "{kept:?}");
        for page in ["/", "/callback/oidc?code=c", "/deep//path/"] {
            let url = Url::parse(ORIGIN).and_then(|base| base.join(page)).expect("a fixed page");
            let url = url.join(&kept).expect("a kept address is one");
            let host = url.host_str().unwrap_or_default();
            let in_domain =
                cookie_domain.is_some() && (host == "example.com" || host.ends_with(".example.com"));
            assert!(url.origin().ascii_serialization() == ORIGIN || in_domain, "{text:?} became {kept:?}");
            assert_eq!(url.scheme(), "https");
            assert!(url.username().is_empty() && url.password().is_none(), "{kept:?}");
        }
        assert_eq!(check(&site, &kept).as_ref(), Some(&kept));
    }
});
