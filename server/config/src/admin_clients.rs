//! `[[admin_client]]`: programs that may use the administration over HTTP.

use claimgate::access::Applications;
use claimgate::claims::TokenKind;

use super::checked::{AdminClient, Provider};
use super::raw;
use super::section::{Faulty, Section};

/// Resolves a table. Its audience and its client serve no other purpose: a service or an application that receives tokens could
/// otherwise present them to the administration, and so could people for whom the client has tokens.
pub(super) fn resolve(
    section: &Section<'_>,
    raw: raw::AdminClient,
    providers: &[Provider],
    applications: &Applications,
) -> Result<AdminClient, Faulty> {
    let client = section.required("client", raw.client, "the `client_id` of the program, such as \"backup\"");
    let example = "an audience of its own, such as \"https://sso.example.com/api\"";
    let audience = section.required("audience", raw.audience, example);
    let provider = provider(section, raw.provider.as_deref(), providers)?;
    if raw.subject.as_deref() == Some("") {
        return Err(section.fault("subject", ("is empty", "write the `sub` of the program's own tokens")));
    }
    let (client, audience) = (client?, audience?);
    if provider.presented != TokenKind::AccessToken {
        let message = format!("the tokens of the provider `{}` are no access tokens", provider.id);
        let reason = (message, "write `kind = \"access_token\"` in its [provider.verify]");
        return Err(section.fault("provider", reason));
    }
    if client == provider.client.id {
        let reason =
            ("is the client by which people sign in, whose tokens are theirs", "give the program its own");
        return Err(section.fault("client", reason));
    }
    let of_application = applications.iter().any(|own| own.bearer_audience().contains(&audience));
    if of_application || provider.audiences.contains(&audience) {
        let whose = if of_application { "an application" } else { "/api/v1/verify" };
        let message = format!("is also an audience of {whose}, where such tokens would be known to others");
        return Err(section.fault("audience", (message, "let the provider give tokens for another audience")));
    }
    // RFC 9068 §2.2: of a token that no person takes part in, `sub` names the client.
    let subject = raw.subject.unwrap_or_else(|| client.clone());
    Ok(AdminClient { client, subject, audience, provider: provider.id.clone(), read_only: raw.read_only })
}

/// Returns the provider with an id, or the only one of the file.
fn provider<'p>(
    section: &Section<'_>,
    id: Option<&str>,
    providers: &'p [Provider],
) -> Result<&'p Provider, Faulty> {
    match (id, providers) {
        (Some(id), _) => providers.iter().find(|provider| provider.id == id).ok_or_else(|| {
            let known: Vec<_> = providers.iter().map(|provider| provider.id.as_str()).collect();
            section.fault("provider", format!("`{id}` is no `id` of a provider: {}", known.join(", ")))
        }),
        (None, [only]) => Ok(only),
        (None, _) => Err(section
            .fault("provider", ("is missing", "write the `id` of the provider that issues its tokens"))),
    }
}
