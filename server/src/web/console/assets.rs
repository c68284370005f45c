//! The style sheet and the script of the console, at addresses that change with their content.

use std::sync::LazyLock;

use claimgate::base64url;
use claimgate::oidc::fingerprint::Fingerprint;

/// A file that the pages load.
pub(crate) struct Asset {
    /// Its address below the path of `public_url`.
    pub(crate) path: String,
    pub(crate) content_type: &'static str,
    pub(crate) text: &'static str,
}

impl Asset {
    fn new((name, extension): (&str, &str), content_type: &'static str, text: &'static str) -> Self {
        let tag = base64url::encode(&Fingerprint::of(text).0);
        Self { path: format!("/assets/console/{name}-{tag}.{extension}"), content_type, text }
    }
}

/// The style sheet, which begins with the tokens.
pub(crate) static STYLE: LazyLock<Asset> = LazyLock::new(|| {
    let text = concat!(include_str!("../tokens.css"), include_str!("console.css"));
    Asset::new(("console", "css"), "text/css; charset=utf-8", text)
});

/// The script.
pub(crate) static SCRIPT: LazyLock<Asset> = LazyLock::new(|| {
    Asset::new(("console", "js"), "text/javascript; charset=utf-8", include_str!("console.js"))
});
