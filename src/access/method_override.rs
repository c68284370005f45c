//! Methods that an application may take a request for, beside its own: those that headers and parameters name.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

/// Most methods of one request and paths of headers together: one header of each name.
pub(super) const MOST_OVERRIDES: usize = 7;

/// The parameters that name another method, in plain letters: the usual one, the headers of that meaning where an application
/// takes both alike, and others of single frameworks.
const PARAMETERS: [&str; 9] = [
    "--method",
    "-method",
    "-verb",
    "-httpmethod",
    "-http-method",
    "method-override",
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
];
/// Parameters that name another method in some applications, and something else in most: only a method counts.
const AMBIGUOUS_PARAMETERS: [&str; 2] = ["method", "httpmethod"];
/// The methods of RFC 9110 §9 and RFC 5789.
const METHODS: [&str; 9] = ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"];

/// Returns the methods that an application may take a request for, each once, its own first: its own, in capitals as some
/// take it, those that headers name, and those that parameters of a target name; one more than [`MOST_OVERRIDES`]
/// at most. A target is a path with its query.
pub(super) fn methods<'m, 't>(
    own: &'m str,
    headers: &[&str],
    targets: impl Iterator<Item = &'t str>,
) -> Vec<Cow<'m, str>> {
    let in_capitals = own.bytes().any(|byte| byte.is_ascii_lowercase()).then(|| own.to_ascii_uppercase());
    // Applications take the first or the last of several.
    let in_headers = headers.iter().flat_map(|methods| methods.split(',')).map(capitals);
    let mut methods = vec![Cow::Borrowed(own)];
    for method in in_capitals.into_iter().chain(in_headers).chain(targets.flat_map(of_target)) {
        if methods.len() <= MOST_OVERRIDES && !methods.iter().any(|known| *known == method) {
            methods.push(Cow::Owned(method));
        }
    }
    methods
}

/// Returns the methods that the parameters of a target name: as it is written, and as an application reads it that decodes it
/// before it looks for `?` and for what divides parameters.
fn of_target(target: &str) -> Vec<String> {
    let decoded = percent_decode_str(target).decode_utf8_lossy();
    let mut methods: Vec<_> = of_parameters(target).collect();
    if decoded != target {
        methods.extend(of_parameters(&decoded));
    }
    methods
}

/// Returns the methods that parameters name: behind `?`, and between whatever applications divide parameters by.
fn of_parameters(target: &str) -> impl Iterator<Item = String> {
    let parts = target.split(['?', '&', ';', '#']).skip(1);
    parts.flat_map(|part| url::form_urlencoded::parse(part.as_bytes())).filter_map(|(name, value)| {
        let is_one_of = |names: &[&str]| names.iter().any(|own| is_read_as(&name, own));
        if is_one_of(&PARAMETERS) {
            return Some(capitals(&value));
        }
        let method = is_one_of(&AMBIGUOUS_PARAMETERS).then(|| capitals(&value))?;
        METHODS.contains(&method.as_str()).then_some(method)
    })
}

fn capitals(method: &str) -> String {
    method.trim().to_ascii_uppercase()
}

/// Reports whether the most lenient application reads the name of a parameter as this one: without white space around it and
/// what follows NUL or `[`, in small letters, all characters but letters and digits as one.
fn is_read_as(name: &str, own: &str) -> bool {
    let is_space = |character: char| character.is_whitespace() || character == '[';
    let name = name.trim_start_matches(is_space).split(['\0', '[']).next().unwrap_or_default().trim_end();
    name.chars().map(plain).eq(own.chars())
}

/// Returns a character of a name as the most lenient application reads it: a letter in lower case, a digit, or `-` for every
/// other one.
pub(super) fn plain(character: char) -> char {
    if character.is_ascii_alphanumeric() { character.to_ascii_lowercase() } else { '-' }
}
