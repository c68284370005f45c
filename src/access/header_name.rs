//! The names that a header for an application may have.

/// Longest name of a header, in bytes.
const LONGEST_NAME: usize = 64;

/// Names that HTTP, proxies or applications give a meaning of their own, in lower case.
const RESERVED: &str = "age alt-svc authorization cache-control clear-site-data connection cookie \
    cross-origin-embedder-policy cross-origin-opener-policy cross-origin-resource-policy date \
    early-data etag expect expires forwarded from host http2-settings keep-alive last-modified link \
    location max-forwards origin pragma range referer referrer-policy refresh retry-after server \
    set-cookie strict-transport-security te trailer transfer-encoding upgrade user-agent vary via \
    warning www-authenticate x-frame-options x-method-override x-real-ip x-requested-with";

/// Beginnings of such names.
const RESERVED_BEGINNINGS: &str = "accept access-control- content- if- proxy sec- x-accel- x-content-type- x-envoy- x-http-method x-sendfile";

/// Beginnings of names that say where a request comes from and where it goes, not who sends it.
const ROUTING: &str = "x-forwarded-by x-forwarded-client-cert x-forwarded-for x-forwarded-host x-forwarded-method \
    x-forwarded-path x-forwarded-port x-forwarded-prefix x-forwarded-proto x-forwarded-scheme \
    x-forwarded-server x-forwarded-ssl x-forwarded-tls x-forwarded-uri x-original- x-rewrite-";

/// Checks the name of a header. Letters, digits and `-` alone: proxies drop other characters, and applications that read
/// headers as CGI does take them for `-`.
///
/// # Errors
/// Why it cannot be one.
pub(super) fn check(name: &str) -> Result<(), &'static str> {
    let lower = name.to_ascii_lowercase();
    let is_name = name.starts_with(|first: char| first.is_ascii_alphabetic())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        && !name.ends_with('-');
    if !is_name || name.len() > LONGEST_NAME {
        return Err("is no name of at most 64 letters, digits and `-`");
    }
    let mut beginnings = RESERVED_BEGINNINGS.split(' ').chain(ROUTING.split(' '));
    if RESERVED.split(' ').any(|reserved| reserved == lower)
        || beginnings.any(|begins| lower.starts_with(begins))
    {
        return Err("has a meaning of its own in HTTP or for proxies");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_mean_something_else_are_refused() {
        for name in [
            "Host",
            "cookie",
            "Set-Cookie",
            "Authorization",
            "Connection",
            "Transfer-Encoding",
            "Content-Length",
            "Proxy",
            "Proxy-Authorization",
            "X-Accel-Redirect",
            "X-Forwarded-For",
            "X-Forwarded-Proto",
            "X-Original-URL",
            "Sec-Fetch-Mode",
            "Location",
            "X-HTTP-Method-Override",
            "Accept",
        ] {
            assert_eq!(check(name), Err("has a meaning of its own in HTTP or for proxies"), "{name}");
        }
        for name in
            ["", "X_User", "X User", "X-User:", "X-User\r\n", "-X", "X-", "1X", "Ünder", &"X".repeat(65)]
        {
            assert_eq!(check(name), Err("is no name of at most 64 letters, digits and `-`"), "{name}");
        }
        for name in
            ["X-Forwarded-User", "Remote-User", "X-WEBAUTH-USER", "X-Auth-User", "SSO-User", &"X".repeat(64)]
        {
            assert_eq!(check(name), Ok(()), "{name}");
        }
    }
}
