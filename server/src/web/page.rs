//! The HTML pages: accessible, without scripts, in the reader's language. Every value is escaped.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::app::App;
use super::sign_in_link::SignInLink;
use super::texts::{Language, Texts, fill, fill_markup};

/// Whose page it is, and the language that its reader prefers.
#[derive(Clone, Copy)]
pub(crate) struct View<'a> {
    pub(crate) app: &'a App,
    pub(crate) language: Language,
}

impl<'a> View<'a> {
    pub(crate) fn new(app: &'a App, language: Language) -> Self {
        Self { app, language }
    }

    pub(crate) fn texts(&self) -> &'static Texts {
        self.language.texts()
    }
}

/// The picture above a title.
#[derive(Clone, Copy)]
pub(crate) enum Icon {
    Problem,
    Locked,
    Done,
    Question,
}

impl Icon {
    fn markup(self) -> Markup {
        let (class, paths) = match self {
            Icon::Problem => ("icon", r#"<path d="M12 7v6m0 4h.01"/><circle cx="12" cy="12" r="10"/>"#),
            Icon::Locked => (
                "icon",
                r#"<rect x="4" y="11" width="16" height="10" rx="2"/><path d="M8 11V7a4 4 0 0 1 8 0v4"/>"#,
            ),
            Icon::Done => ("icon done", r#"<path d="m5 13 4.5 4.5L19 7.5"/>"#),
            Icon::Question => {
                ("icon question", r#"<path d="M9 4H6a2 2 0 0 0-2 2v12a2 2 0 0 0 2 2h3m6-4 4-4-4-4m4 4H9"/>"#)
            }
        };
        html! { div class=(class) aria-hidden="true" { svg viewBox="0 0 24 24" { (PreEscaped(paths)) } } }
    }
}

/// A page without its frame.
pub(crate) struct Content<'a> {
    pub(crate) title: &'a str,
    pub(crate) icon: Option<Icon>,
    pub(crate) is_wide: bool,
    pub(crate) body: Markup,
}

impl<'a> Content<'a> {
    pub(crate) fn new(title: &'a str, body: Markup) -> Self {
        Self { title, icon: None, is_wide: false, body }
    }

    fn with_icon(self, icon: Icon) -> Self {
        Self { icon: Some(icon), ..self }
    }

    /// Returns the whole page.
    pub(crate) fn framed(self, view: &View<'_>) -> Markup {
        let look = &view.app.appearance;
        let has_own_name = look.name != look.host;
        let body = html! {
            header.brand {
                @if let Some(logo) = &look.logo_url {
                    img src=(logo) alt=(look.name);
                } @else {
                    @let initial = look.name.chars().next().into_iter().flat_map(char::to_uppercase);
                    span.mark aria-hidden="true" { (initial.collect::<String>()) }
                    span { (look.name) }
                }
            }
            main.wide[self.is_wide] {
                @if let Some(icon) = self.icon { (icon.markup()) }
                h1 { (self.title) }
                (self.body)
            }
            @if has_own_name { footer { (look.host) } }
        };
        document(view, self.title, &html! {}, &body)
    }
}

/// Returns the document around a body. `head` is what its head holds in addition.
fn document(view: &View<'_>, title: &str, head: &Markup, body: &Markup) -> Markup {
    let look = &view.app.appearance;
    html! {
        (DOCTYPE)
        html lang=(view.language.tag()) {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="robots" content="noindex";
                (head)
                title { (title) " · " (look.name) }
                link rel="stylesheet" href=(look.style_url);
                // Without an icon browsers would ask the application's host for one.
                link rel="icon" href=(look.logo_url.as_deref().unwrap_or("data:,"));
            }
            body { (body) }
        }
    }
}

/// A problem on a page.
pub(crate) struct Notice<'n> {
    pub(crate) message: &'n str,
    pub(crate) code: &'n str,
    /// Joins the page to its line in the log.
    pub(crate) reference: &'n str,
}

impl Notice<'_> {
    fn markup(&self, texts: &Texts) -> Markup {
        html! {
            div.problem #problem role="alert" {
                p { (self.message) }
                p.small {
                    (texts.error) " " code #code { (self.code) } ", " (texts.reference) " "
                    code #reference { (self.reference) }
                }
            }
        }
    }
}

/// Most characters of a username, in the form for passwords.
pub(crate) const MAX_USERNAME: usize = 255;

/// Returns the URL of a way to sign in, with the parameters of a link.
fn sign_in_url(url: String, link: &SignInLink) -> String {
    let query = link.query();
    if query.is_empty() { url } else { format!("{url}?{query}") }
}

/// The form for passwords on the sign-in page.
#[derive(Default)]
pub(crate) struct PasswordForm<'a> {
    /// Whether it is shown at once.
    pub(crate) is_open: bool,
    /// The username that was entered before.
    pub(crate) username: &'a str,
    /// Whether what was entered before is wrong.
    pub(crate) is_wrong: bool,
}

impl PasswordForm<'_> {
    fn markup(&self, view: &View<'_>, link: &SignInLink) -> Markup {
        let texts = view.texts();
        let wrong = self.is_wrong.then_some("true");
        let described = self.is_wrong.then_some("problem");
        let is_known = !self.username.is_empty();
        html! {
            form.password method="post" action=(view.app.path("/login/password")) {
                label for="username" { (texts.username) }
                input #username name="username" value=(self.username) autocomplete="username" autocapitalize="none"
                    spellcheck="false" required maxlength=(MAX_USERNAME) aria-invalid=[wrong] aria-describedby=[described];
                label for="password" { (texts.password) }
                input #password name="password" type="password" autocomplete="current-password" required
                    maxlength="1024" autofocus[is_known] aria-invalid=[wrong] aria-describedby=[described];
                input type="hidden" name="return_to" value=(link.return_to);
                button type="submit" { (texts.sign_in) }
            }
        }
    }
}

/// The sign-in page: a button per provider and, if configured, the password form. `problem`: the title and the notice
/// of an attempt that was refused.
pub(crate) fn sign_in(
    view: &View<'_>,
    link: &SignInLink,
    form: &PasswordForm<'_>,
    problem: Option<(&str, &Notice<'_>)>,
) -> Markup {
    let (app, texts) = (view.app, view.texts());
    let body = html! {
        @if let Some((_, notice)) = problem { (notice.markup(texts)) }
        ul.ways {
            @for (index, provider) in app.providers.iter().enumerate() {
                @let href = sign_in_url(app.path(&format!("/login/{}", provider.config.id)), link);
                @let text = fill(texts.sign_in_with, &[("provider", &provider.config.display_name)]);
                li { a.button.quiet[index > 0] href=(href) { (text) } }
            }
        }
        // A password has no authentication context class.
        @if app.config.password.fallback && link.authentication.acr.is_empty() {
            details open[form.is_open] {
                summary { (texts.or_with_password) }
                (form.markup(view, link))
            }
        }
    };
    Content::new(problem.map_or(texts.sign_in, |(title, _)| title), body).framed(view)
}

/// The page after signing out. `by_provider`: the sign-in provider sent the browser here.
pub(crate) fn signed_out(view: &View<'_>, by_provider: bool) -> Markup {
    let texts = view.texts();
    let body = html! {
        p #signed-out { (if by_provider { texts.signed_out_everywhere } else { texts.signed_out_here }) }
        div.actions { a.button href=(view.app.path("/login")) { (texts.sign_in) } }
    };
    Content::new(texts.signed_out, body).with_icon(Icon::Done).framed(view)
}

/// The page that asks before signing out: another site may have caused the request.
pub(crate) fn confirm_sign_out(view: &View<'_>) -> Markup {
    let (app, texts) = (view.app, view.texts());
    let body = html! {
        p { (texts.sign_out_explained) }
        div.actions {
            form method="post" action=(app.path("/logout")) { button type="submit" { (texts.sign_out) } }
            a.button.quiet href=(app.path("/")) { (texts.stay_signed_in) }
        }
    };
    Content::new(texts.sign_out_question, body).with_icon(Icon::Question).framed(view)
}

/// The page that leads to the provider's logout. Not a redirect: the content security policy of the form
/// would then have to name every host that the provider may redirect through.
pub(crate) fn to_provider_logout(view: &View<'_>, address: &str) -> Markup {
    let texts = view.texts();
    let head = html! { meta http-equiv="refresh" content={ "0;url=" (address) }; };
    let body = html! {
        main {
            h1 { (texts.signing_out) }
            p { a #leave href=(address) { (texts.to_provider_logout) } }
        }
    };
    document(view, texts.signing_out, &head, &body)
}

/// The page of a problem.
pub(crate) fn problem(view: &View<'_>, title: &str, notice: &Notice<'_>, return_to: &str) -> Markup {
    let (app, texts) = (view.app, view.texts());
    let can_retry = !notice.code.starts_with("request.");
    let again = SignInLink::returning_to(return_to);
    let body = html! {
        (notice.markup(texts))
        div.actions {
            @if can_retry {
                a.button href=(sign_in_url(app.path("/login"), &again)) { (texts.sign_in_again) }
                @if app.config.password.fallback {
                    a.button.quiet href=(sign_in_url(app.path("/login/password"), &again)) {
                        (texts.sign_in_with_password)
                    }
                }
            } @else {
                a.button href=(app.path("/")) { (texts.to_front_page) }
            }
        }
    };
    Content::new(title, body).with_icon(Icon::Problem).framed(view)
}

/// What the page of a refusal names.
pub(crate) struct Refused<'a> {
    pub(crate) user: Option<&'a str>,
    /// The application and the number of the rule, such as "wiki, rule 2".
    pub(crate) rule: Option<&'a str>,
}

/// The page of an application whose proxy refuses the user. It is shown at the application's address, so
/// that every address in it is absolute.
pub(crate) fn no_access(
    view: &View<'_>,
    title: &str,
    notice: &Notice<'_>,
    refused: &Refused<'_>,
    address: &str,
) -> Markup {
    let user = refused.user;
    let (url, texts) = (&view.app.server.public_url, view.texts());
    let another = SignInLink { another_account: true, ..SignInLink::returning_to(address) };
    let body = html! {
        @if let Some(user) = user { p { (fill_markup(texts.signed_in_as, &html! { b #user { (user) } })) } }
        (notice.markup(texts))
        @if let Some(rule) = refused.rule { p.small { (texts.refused_by) " " code #rule { (rule) } } }
        @if user.is_some() {
            div.actions {
                a.button #another href=(sign_in_url(url.join("/login"), &another)) { (texts.another_account) }
                a.button.quiet #sign-out href=(url.join("/logout")) { (texts.sign_out) }
            }
        }
    };
    Content::new(title, body).with_icon(Icon::Locked).framed(view)
}

/// The page for a form that was sent to an application that would admit it after a sign-in. It is shown at the
/// application's address.
pub(crate) fn form_lost(view: &View<'_>, title: &str, notice: &Notice<'_>, link: &SignInLink) -> Markup {
    let texts = view.texts();
    let sign_in = view.app.server.public_url.join("/login");
    let body = html! {
        p { (texts.session_over_explained) }
        (notice.markup(texts))
        div.actions {
            a.button href=(sign_in_url(sign_in, link)) { (texts.sign_in) }
        }
    };
    Content::new(title, body).with_icon(Icon::Locked).framed(view)
}
