//! The pages on which a provider is added, changed and removed.

use maud::{Markup, html};

use super::frame;
use super::provider_form::{ProviderForm, What};
use super::providers;
use crate::web::app::App;
use crate::web::check_steps::Steps;
use crate::web::provider_check;
use claimgate::oidc::discovery::ProviderMetadata;

/// What a discovery document has shown.
pub(crate) struct LookedUp {
    pub(crate) metadata: ProviderMetadata,
    pub(crate) steps: Steps,
}

/// Returns the page that asks for an issuer. `notice`: what has happened just now.
pub(crate) fn start(app: &App, notice: &Markup, form: &ProviderForm) -> Markup {
    html! {
        (notice)
        section.card aria-labelledby="issuer-of" {
            header { h2 #issuer-of { "Which provider?" } }
            form.form method="post" action=(app.path("/admin/providers/discover")) {
                (field(form, &Field { name: "issuer", label: "Issuer", value: &form.issuer, more: html! {
                    "The address that the provider names itself by, such as " code { "https://login.example.com/realms/acme" } ". Its metadata are fetched from "
                    code { "/.well-known/openid-configuration" } " below it."
                } }))
                div.actions {
                    button type="submit" { "Look it up" }
                    (cancel(app))
                }
            }
        }
    }
}

/// Returns the page with the form. `kept`: the secret that was entered before, sealed; `found`: the discovery document,
/// where it was fetched just now.
pub(crate) fn page(
    app: &App,
    notice: &Markup,
    (form, kept): (&ProviderForm, Option<&str>),
    found: Option<&LookedUp>,
) -> Markup {
    html! {
        (notice)
        @if let Some(found) = found { (document(found)) }
        form.cards #provider-form method="post" action=(app.path("/admin/providers/review")) {
            (hidden(form, kept))
            section.card aria-labelledby="client" {
                header { h2 #client { "The client" } @if form.what == What::Edit { code.small { (form.id) } } }
                @if !form.faults.is_empty() {
                    div.notice.problem role="alert" { p { "Nothing was saved: see what stands at the fields below." } }
                }
                (client(form, kept))
            }
            section.card aria-labelledby="asked" {
                header { h2 #asked { "What is asked for and accepted" } }
                (scopes(form))
                (algorithms(form))
            }
            @if form.what == What::Add {
                section.card aria-labelledby="register" {
                    header { h2 #register { "Addresses to register at the provider" } }
                    (providers::uri_list(&provider_check::uris_of_id(&app.config, &form.id)))
                    div.actions {
                        button.quiet.small type="submit" formnovalidate formaction=(app.path("/admin/providers/form#register")) { "Show the addresses for this id" }
                        p.small.muted { "The redirect URI holds the id of the provider." }
                    }
                }
            }
            div.actions.save {
                button type="submit" { "Test and review" }
                (cancel(app))
                p.small.muted { "The provider is asked whether it knows the client. Nothing is saved before you have seen what changes in the file." }
            }
        }
        @if form.what == What::Edit { (removal(app, form)) }
    }
}

fn cancel(app: &App) -> Markup {
    html! { a.button.quiet href=(app.path("/admin/providers")) { "Cancel" } }
}

/// Returns what a discovery document says, as text.
fn document(found: &LookedUp) -> Markup {
    let LookedUp { metadata, steps } = found;
    let optional = |endpoint: &Option<_>| endpoint.as_ref().map_or("none".to_owned(), ToString::to_string);
    html! {
        section.card aria-labelledby="found" {
            header { h2 #found { "What the provider says of itself" } }
            (providers::steps(&steps.0))
            dl {
                dt { "Sign-in" } dd { code { (providers::cut(metadata.authorization_endpoint.as_str())) } }
                dt { "Tokens" } dd { code { (providers::cut(metadata.token_endpoint.as_str())) } }
                dt { "Keys" } dd { code { (providers::cut(&optional(&metadata.jwks_uri))) } }
                dt { "Sign-out" } dd { code { (providers::cut(&optional(&metadata.end_session_endpoint))) } }
                dt { "Algorithms" } dd { (listed(&metadata.signing_algorithms)) }
                dt { "Client authentication" } dd { (listed(&metadata.token_auth_methods)) }
            }
        }
    }
}

fn listed(texts: &[String]) -> String {
    if texts.is_empty() { "not said".to_owned() } else { providers::cut(&texts.join(", ")) }
}

/// Returns the fields that a person does not fill in.
fn hidden(form: &ProviderForm, kept: Option<&str>) -> Markup {
    let shown = ["display_name", "client_id", "scope", "algorithm", "public"];
    let is_hidden = |name: &str| !shown.contains(&name) && (name != "id" || form.what != What::Add);
    html! {
        @for (name, value) in form.fields(kept).iter().filter(|(name, _)| is_hidden(name)) {
            input type="hidden" name=(name) value=(value);
        }
    }
}

fn client(form: &ProviderForm, kept: Option<&str>) -> Markup {
    let is_new = form.what == What::Add;
    html! {
        @if is_new {
            dl { dt { "Issuer" } dd { code { (form.issuer) } (faults(form, "issuer")) } }
        }
        div.fields.pairs {
            @if is_new {
                (field(form, &Field { name: "id", label: "Id here", value: &form.id, more: html! { "A part of its addresses: a-z, 0-9, - and _. It stays." } }))
            }
            (field(form, &Field { name: "display_name", label: "Name on the button", value: &form.draft.display_name, more: html! {} }))
            (field(form, &Field { name: "client_id", label: "Client id", value: &form.draft.client_id, more: html! { "As the provider has registered it." } }))
            (secret(form, kept.is_some()))
        }
    }
}

/// Returns the field of the secret, which never has a value.
fn secret(form: &ProviderForm, is_kept: bool) -> Markup {
    let fault = described(form, "client_secret");
    let about = match (is_kept, form.what) {
        (true, _) => "One was entered: leave this empty to use it, or enter another.",
        (false, What::Add) => "It is written into a file of its own, and shown nowhere.",
        (false, _) => {
            "Leave this empty to keep the present one. A new one is written into a file of its own, and shown nowhere."
        }
    };
    html! {
        div.field {
            label for="client_secret" { @if form.what == What::Add { "Client secret" } @else { "New client secret" } }
            input.code #client_secret name="client_secret" type="password" autocomplete="new-password" spellcheck="false" maxlength="1024"
                aria-invalid=[fault.as_ref().map(|_| "true")] aria-describedby={ "about-client_secret" @if let Some(fault) = &fault { " " (fault) } };
            p.small.muted #about-client_secret { (about) }
            @if form.what == What::Add {
                label.check { input type="checkbox" name="public" value="true" checked[form.is_public]; "The client has no secret (a public client)" }
            }
            (faults(form, "client_secret"))
        }
    }
}

/// A field of one line.
struct Field<'f> {
    name: &'f str,
    label: &'f str,
    value: &'f str,
    /// What it is for.
    more: Markup,
}

fn field(form: &ProviderForm, field: &Field<'_>) -> Markup {
    let Field { name, label, value, more } = field;
    let fault = described(form, name);
    let about = (!more.0.is_empty()).then(|| format!("about-{name}"));
    let describing: Vec<&str> = about.iter().chain(&fault).map(String::as_str).collect();
    html! {
        div.field {
            label for=(name) { (label) }
            input.code[*name != "display_name"] id=(name) name=(name) value=(value) spellcheck="false" autocomplete="off" autocapitalize="none" required[*name != "display_name"]
                aria-invalid=[fault.as_ref().map(|_| "true")] aria-describedby=[(!describing.is_empty()).then(|| describing.join(" "))];
            @if let Some(about) = &about { p.small.muted id=(about) { (more) } }
            (faults(form, name))
        }
    }
}

fn scopes(form: &ProviderForm) -> Markup {
    html! {
        fieldset aria-describedby=[described(form, "scopes")] {
            legend { "Scopes" }
            (boxes("scope", &form.draft.scopes, &form.offered_scopes))
            div.field {
                label for="more_scopes" { "Other scopes" }
                input.code #more_scopes name="more_scopes" spellcheck="false" autocomplete="off" autocapitalize="none" aria-describedby="about-more_scopes";
                p.small.muted #about-more_scopes { "Separated by spaces. " code { "openid" } " is always asked for." }
            }
            (faults(form, "scopes"))
        }
    }
}

fn algorithms(form: &ProviderForm) -> Markup {
    html! {
        fieldset aria-describedby=[described(form, "algorithms")] {
            legend { "Algorithms of its tokens" }
            @if form.offered_algorithms.is_empty() && form.draft.algorithms.is_empty() {
                p.muted { "The provider announces none that this server has: its tokens could not be verified." }
            }
            (boxes("algorithm", &form.draft.algorithms, &form.offered_algorithms))
            p.small.muted { "Choose those that the provider signs with, as few as possible. HS algorithms verify with the client secret." }
            (faults(form, "algorithms"))
        }
    }
}

/// Returns a box for each text that is chosen, then one for each other that is offered.
fn boxes(name: &str, chosen: &[String], offered: &[String]) -> Markup {
    let others = offered.iter().filter(|text| !chosen.contains(text));
    html! {
        div.choices {
            @for text in chosen { label.check { input type="checkbox" name=(name) value=(text) checked; code { (text) } } }
            @for text in others { label.check { input type="checkbox" name=(name) value=(text); code { (text) } } }
        }
    }
}

fn faults(form: &ProviderForm, setting: &str) -> Markup {
    let found = form.faults_of(setting);
    html! {
        @if !found.is_empty() {
            p.fault id={ "fault-" (setting) } { @for text in found { (frame::prose(&frame::capital(text))) " " } }
        }
    }
}

/// Returns what leads from a field to what is wrong with it.
fn described(form: &ProviderForm, setting: &str) -> Option<String> {
    (!form.faults_of(setting).is_empty()).then(|| format!("fault-{setting}"))
}

/// Returns the form that begins the removal of a provider.
fn removal(app: &App, form: &ProviderForm) -> Markup {
    html! {
        section.card aria-labelledby="remove" {
            header { h2 #remove { "Remove this provider" } }
            p.small.muted { "What changes in the file, and what becomes of the people who sign in through it, is shown before." }
            form.actions method="post" action=(app.path("/admin/providers/review")) {
                input type="hidden" name="what" value=(What::Remove.name());
                input type="hidden" name="id" value=(form.id);
                input type="hidden" name="version" value=(form.version);
                button.danger type="submit" { "Remove " (form.id) " …" }
            }
        }
    }
}

/// Returns what becomes of the people of a provider that is removed. `issuer`: its name in links.
pub(crate) fn consequences(issuer: Option<&str>) -> Markup {
    html! {
        div.notice.warning #removed-people {
            p { b { "No person can sign in through it any more, and its logouts end no session." }
                " People who are signed in stay so until their sessions end. The links of users to it stay: if it is added again, people sign in as the users that they were." }
            p { "To end these sessions and delete the links, as the user that runs the server: "
                code { "claimgate provider unlink " @match issuer { Some(issuer) => (issuer), None => "ISSUER" } } }
        }
    }
}
