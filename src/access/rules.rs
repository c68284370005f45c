//! Applications and their rules, compiled; and the selection of the rule for a request.

use std::borrow::Cow;

use super::AccessError;
use super::headers::Headers;
use super::host::{self, HostIndex};
use super::method_override::{self, MOST_OVERRIDES};
use super::path::{self, PathProblem, Reading};
use super::path_override;
use super::rule::Rule;
use super::spec::ApplicationSpec;
use super::who::compile_claims;
use crate::claims::Claims;
use crate::identity::SettingPath;
use crate::path::ClaimPath;

/// The applications, by host.
///
/// ```
/// use claimgate::access::{ApplicationSpec, Applications, Headers};
///
/// fn compile(specs: &[ApplicationSpec], shared: &Headers) -> Result<Applications, claimgate::access::AccessError> {
///     let applications = Applications::compile(specs)?;
///     for application in applications.iter() {
///         println!("{}", application.name());
///     }
///     if !applications.is_empty() && applications.demands_context("mfa") {
///         println!("the provider is asked for `mfa`");
///     }
///     // What a session keeps of the claims of its sign-in.
///     println!("{:?}", applications.claim_paths(shared));
///     Ok(applications)
/// }
/// ```
#[derive(Clone, Debug, Default)]
pub struct Applications {
    hosts: HostIndex,
    applications: Vec<Application>,
}

/// An application.
///
/// ```
/// use claimgate::access::{Application, Caller, Header};
/// use claimgate::claims::Claims;
///
/// fn describe(application: &Application, claims: &Claims, caller: Caller<'_>) {
///     println!("{}: {} rules", application.name(), application.rules().len());
///     println!("takes tokens for {:?}: {}", application.bearer_audience(), application.accepts_audience(claims));
///     for header in application.headers().iter() {
///         println!("{}: {:?}", header.name(), header.value(caller.clone()));
///     }
///     if application.gets_assertions() {
///         println!("with an assertion for {}", application.assertion_audience());
///     }
/// }
/// ```
#[derive(Clone, Debug)]
pub struct Application {
    name: String,
    rules: Vec<Rule>,
    bearer_audience: Vec<String>,
    headers: Headers,
    assertion_audience: String,
    /// Whether a rule looks at the path.
    reads_paths: bool,
    /// Whether a rule looks at the method.
    reads_methods: bool,
}

/// What of a request selects a rule.
///
/// ```
/// use claimgate::access::{Applications, Request, Selection};
///
/// fn select<'a>(applications: &'a Applications, host: &str, path: &str) -> Selection<'a> {
///     // What the request names in `X-HTTP-Method-Override` and the like.
///     applications.select(&Request::new(host, path, "POST").overridden(&["DELETE"], &[]))
/// }
///
/// /// For a proxy that does not say what is asked for.
/// fn by_host<'a>(applications: &'a Applications, host: &str) -> Selection<'a> {
///     applications.select(&Request::new(host, "", "").without_path().without_method())
/// }
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Request<'r> {
    host: &'r str,
    path: Option<&'r str>,
    method: Option<&'r str>,
    methods: &'r [&'r str],
    paths: &'r [&'r str],
    /// Whether a header says which part of the path is not the application's.
    has_prefix: bool,
}

impl<'r> Request<'r> {
    /// Returns the request of a client: its host, with or without a port, its path, with or without a query, and its
    /// method.
    #[must_use]
    pub fn new(host: &'r str, path: &'r str, method: &'r str) -> Self {
        Self { host, path: Some(path), method: Some(method), methods: &[], paths: &[], has_prefix: false }
    }

    /// Returns the request without its path and query: the proxy does not say which they are.
    #[must_use]
    pub fn without_path(self) -> Self {
        Self { path: None, ..self }
    }

    /// Returns the request without its method: the proxy does not say which it is.
    #[must_use]
    pub fn without_method(self) -> Self {
        Self { method: None, ..self }
    }

    /// Returns the request with the values of headers that name a method beside its own (`X-HTTP-Method-Override`), and a
    /// path or an address (`X-Original-URL`): applications take the one or the other. Proxies join repeated headers with
    /// commas, so that each part of a value counts.
    #[must_use]
    pub fn overridden(self, methods: &'r [&'r str], paths: &'r [&'r str]) -> Self {
        Self { methods, paths, ..self }
    }

    /// Returns the request with a header that names a part of the path (`X-Script-Name`): applications remove it from the path.
    #[must_use]
    pub fn with_prefix(self) -> Self {
        Self { has_prefix: true, ..self }
    }
}

/// The rule that a request selects, or why it selects none. All but `Rule` are refused.
#[derive(Clone, Debug)]
pub enum Selection<'a> {
    /// The host belongs to no application.
    NoApplication,
    /// The first rule that fits.
    Rule {
        /// The application.
        application: &'a Application,
        /// The rule.
        rule: &'a Rule,
    },
    /// No rule of the application fits.
    NoRule(&'a Application),
    /// The request can be read in several ways, to which different rules apply, or in none.
    Ambiguous {
        /// The application.
        application: &'a Application,
        /// What is ambiguous.
        reason: Ambiguity,
    },
}

/// Why a request is ambiguous.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Ambiguity {
    /// The path is one that no browser sends.
    #[error("the path {0}")]
    Path(#[from] PathProblem),
    /// Applications read the path in several ways, and different rules apply to them.
    #[error("the path can be read in two ways: to one applies {one}, to the other {other}")]
    Readings {
        /// The rule of one reading.
        one: String,
        /// The rule of another.
        other: String,
    },
    /// Rules look at the path, or at the method, which a query can override, and the proxy does not say which path it is.
    #[error("rules look at the path or the method, and the proxy sends no X-Forwarded-Uri, or several")]
    NoPath,
    /// Rules look at the method, and the proxy does not say which it is.
    #[error("rules look at the method, and the proxy sends no X-Forwarded-Method")]
    NoMethod,
    /// A header names another method or path, the query another method (`_method`), or the method is in lower case, and a
    /// different rule applies to what an application may take the request for.
    #[error(
        "the method or the path is overridden, or the method in lower case: to the one applies {one}, to the other {other}"
    )]
    Override {
        /// The rule of the request.
        one: String,
        /// The rule of what the header names.
        other: String,
    },
    /// Rules look at the path, and a header names a part of it.
    #[error(
        "rules look at the path, and a header names a part of it that applications remove (X-Script-Name)"
    )]
    Prefix,
    /// More than seven methods and paths together, with the method of the request; or paths of more than 4,096 bytes,
    /// with that of the request.
    #[error(
        "more headers or parameters override the method or the path, or longer ones, than an application reads"
    )]
    Overrides,
}

/// Most paths in the rules of one application: each reading of a request is compared with all of them.
const MOST_PATHS: usize = 1_024;
impl Applications {
    /// Compiles applications.
    ///
    /// # Errors
    /// An [`AccessError`] of the first setting that is not usable: a host that is none or belongs to another
    /// application, a pattern that is no path, a rule that says nothing of who is admitted, and a rule or path that can
    /// never decide because those before it fit all its requests.
    pub fn compile(specs: &[ApplicationSpec]) -> Result<Self, AccessError> {
        let mut hosts = HostIndex::default();
        let mut applications: Vec<Application> = Vec::with_capacity(specs.len());
        for (index, spec) in specs.iter().enumerate() {
            let setting = SettingPath::default().index(index);
            for (host, written) in spec.hosts.iter().enumerate() {
                hosts.add(written, index, setting.name("hosts").index(host))?;
            }
            let application = Application::compile(spec, &setting)?;
            let is_other = |other: &Application| {
                let audience = other.assertion_audience();
                other.gets_assertions() && audience == application.assertion_audience()
            };
            if application.gets_assertions() && applications.iter().any(is_other) {
                let reason =
                    "another application has this audience, and would accept the assertions of this one";
                let remedy = "write another `assertion_audience`, or another `name`";
                return Err(AccessError::with_remedy(setting.name("assertion_audience"), reason, remedy));
            }
            applications.push(application);
        }
        Ok(Self { hosts, applications })
    }

    /// Reports whether there are no applications: then no request selects a rule, and none is refused for it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.applications.is_empty()
    }

    /// Returns the applications, in their order.
    pub fn iter(&self) -> impl Iterator<Item = &Application> {
        self.applications.iter()
    }

    /// Returns the paths of the claims that rules look at, and of those in headers; `shared` are the headers of a request
    /// that no application decides on. Each path is there once: a session is to keep its values of the sign-in.
    #[must_use]
    pub fn claim_paths(&self, shared: &Headers) -> Vec<ClaimPath> {
        let mut paths: Vec<ClaimPath> = Vec::new();
        let of_rules = self.applications.iter().flat_map(Application::rules).flat_map(Rule::claim_paths);
        let headers = self.applications.iter().map(Application::headers).chain([shared]);
        let of_headers = headers.flat_map(Headers::claim_paths).cloned();
        for path in of_rules.chain(of_headers) {
            if !paths.iter().any(|known| known.as_str() == path.as_str()) {
                paths.push(path);
            }
        }
        paths
    }

    /// Reports whether a rule demands this authentication context class of a sign-in.
    #[must_use]
    pub fn demands_context(&self, acr: &str) -> bool {
        let mut rules = self.applications.iter().flat_map(Application::rules);
        rules.any(|rule| rule.authentication().acr.iter().any(|own| own == acr))
    }

    /// Selects the rule for a request.
    #[must_use]
    pub fn select(&self, request: &Request<'_>) -> Selection<'_> {
        let application = host::of_request(request.host)
            .and_then(|host| self.hosts.get(&host))
            .and_then(|index| self.applications.get(index));
        match application {
            Some(application) => application.select(request),
            None => Selection::NoApplication,
        }
    }
}

impl Application {
    fn compile(spec: &ApplicationSpec, setting: &SettingPath) -> Result<Self, AccessError> {
        let Some(first) = spec.hosts.first() else {
            let remedy = "write `hosts = [\"wiki.example.com\"]`";
            return Err(AccessError::with_remedy(setting.name("hosts"), "is missing", remedy));
        };
        let name = spec.name.clone().unwrap_or_else(|| first.clone());
        if name.is_empty() || name.chars().any(crate::text::is_unsafe) {
            let reason = "is empty, or holds an invisible character";
            let remedy =
                "write a name in letters that people see, or remove it: the name is the first host then";
            return Err(AccessError::with_remedy(setting.name("name"), reason, remedy));
        }
        if spec.rule.is_empty() {
            let remedy = "write [[application.rule]], such as one with `allow = \"signed_in\"`";
            let reason = "is missing, so every request would be refused";
            return Err(AccessError::with_remedy(setting.name("rule"), reason, remedy));
        }
        let claims = compile_claims(&spec.claim, setting)?;
        let mut rules: Vec<Rule> = Vec::with_capacity(spec.rule.len());
        for (index, rule) in spec.rule.iter().enumerate() {
            let setting = setting.name("rule").index(index);
            let rule = Rule::compile(rule, spec, (index + 1, &setting), &claims)?;
            rule.check_reachable(&rules, &setting)?;
            rules.push(rule);
        }
        if rules.iter().map(|rule| rule.paths().count()).sum::<usize>() > MOST_PATHS {
            let reason = format!("has more than {MOST_PATHS} paths in all");
            let remedy = "write the paths above them with `/*`";
            return Err(AccessError::with_remedy(setting.name("rule"), reason, remedy));
        }
        let reads_paths = rules.iter().any(|rule| rule.paths().next().is_some());
        let reads_methods = rules.iter().any(|rule| !rule.methods().is_empty());
        let bearer_audience = spec.bearer_audience.clone();
        if let Some(index) = bearer_audience.iter().position(String::is_empty) {
            let setting = setting.name("bearer_audience").index(index);
            let remedy = "write the `aud` of the tokens, or remove it";
            return Err(AccessError::with_remedy(setting, "is empty", remedy));
        }
        for (index, rule) in rules.iter().enumerate() {
            if bearer_audience.is_empty() && rule.who().names_clients() {
                let remedy = "write `bearer_audience`, the `aud` of the tokens for this application";
                let reason = "names clients, and the application accepts no bearer tokens";
                return Err(AccessError::with_remedy(setting.name("rule").index(index), reason, remedy));
            }
        }
        let headers = match &spec.headers {
            Some(headers) => Headers::compile(headers, &setting.name("headers"))?,
            None => Headers::default(),
        };
        let assertion_audience =
            headers.assertion_audience(spec.assertion_audience.as_deref(), &name, setting)?;
        Ok(Self { name, rules, bearer_audience, headers, assertion_audience, reads_paths, reads_methods })
    }

    /// Returns its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns its rules, in their order.
    #[must_use]
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// Returns the `aud` of bearer tokens that it accepts, of which a token must have one; none: it accepts no bearer
    /// tokens.
    #[must_use]
    pub fn bearer_audience(&self) -> &[String] {
        &self.bearer_audience
    }

    /// Returns the headers by which it learns who sends a request.
    #[must_use]
    pub fn headers(&self) -> &Headers {
        &self.headers
    }

    /// Reports whether one of its headers is an assertion.
    #[must_use]
    pub fn gets_assertions(&self) -> bool {
        self.headers.has_assertion()
    }

    /// Returns the `aud` of its assertions.
    #[must_use]
    pub fn assertion_audience(&self) -> &str {
        &self.assertion_audience
    }

    /// Reports whether it accepts bearer tokens with this audience.
    #[must_use]
    pub fn accepts_audience(&self, claims: &Claims) -> bool {
        claims.audience().any(|audience| self.bearer_audience.iter().any(|own| own == audience))
    }

    fn select(&self, request: &Request<'_>) -> Selection<'_> {
        match self.first(request) {
            Ok(Some(rule)) => Selection::Rule { application: self, rule },
            Ok(None) => Selection::NoRule(self),
            Err(reason) => Selection::Ambiguous { application: self, reason },
        }
    }

    /// Returns the first rule that fits all readings of a request.
    fn first(&self, request: &Request<'_>) -> Result<Option<&Rule>, Ambiguity> {
        let method = match request.method {
            Some(method) => method,
            None if self.reads_methods => return Err(Ambiguity::NoMethod),
            None => "",
        };
        let path = match request.path {
            Some(path) => path,
            // The query can override the method.
            None if self.reads_paths || self.reads_methods => return Err(Ambiguity::NoPath),
            None => "",
        };
        if request.has_prefix && self.reads_paths {
            return Err(Ambiguity::Prefix);
        }
        let targets = path_override::targets(request.paths);
        let methods = self.methods_of(request, path, (method, &targets));
        let paths: &[Cow<'_, str>] = if self.reads_paths { &targets } else { &[] };
        // Strangers send as many as fit into a head, and each costs a look at all rules.
        let sent = std::iter::once(path).chain(paths.iter().map(AsRef::as_ref));
        let bytes = sent.filter_map(|path| path.split('?').next()).map(str::len);
        let is_long = !paths.is_empty() && bytes.sum::<usize>() > path::MAX_PATH;
        let looked_at = if self.reads_methods { targets.len() } else { paths.len() };
        if is_long || methods.len() + looked_at > MOST_OVERRIDES {
            return Err(Ambiguity::Overrides);
        }
        let readings = self.readings(path)?;
        let found = self.first_of(&readings, method)?;
        let alike = |readings: &[Reading], method: &str| match self.first_of(readings, method)? {
            other if decide_alike(found, other) => Ok(()),
            other => Err(Ambiguity::Override { one: describe(found), other: describe(other) }),
        };
        methods.iter().skip(1).try_for_each(|method| alike(&readings, method))?;
        for path in paths {
            let readings = self.readings(path)?;
            methods.iter().try_for_each(|method| alike(&readings, method))?;
        }
        Ok(found)
    }

    /// Returns the methods that an application may take a request for, its own first; that one alone if no rule looks at it.
    fn methods_of<'m>(
        &self,
        request: &Request<'_>,
        path: &str,
        (own, overriding): (&'m str, &[Cow<'_, str>]),
    ) -> Vec<Cow<'m, str>> {
        match self.reads_methods {
            true => {
                let targets = std::iter::once(path).chain(overriding.iter().map(AsRef::as_ref));
                method_override::methods(own, request.methods, targets)
            }
            false => vec![Cow::Borrowed(own)],
        }
    }

    /// Returns the readings of a path; none if no rule looks at it.
    fn readings(&self, path: &str) -> Result<Vec<Reading>, PathProblem> {
        if self.reads_paths { path::readings(path) } else { Ok(Vec::new()) }
    }

    fn first_of(&self, readings: &[Reading], method: &str) -> Result<Option<&Rule>, Ambiguity> {
        let first = |reading| self.rules.iter().find(|rule| rule.fits(reading, method));
        let Some((plain, others)) = readings.split_first() else { return Ok(first(None)) };
        let found = first(Some(plain));
        for reading in others {
            let other = first(Some(reading));
            // A rule on `/icon.png` stands before the one on everything, which `/icon` is left to.
            let is_behind = |other: &Rule| found.is_some_and(|found| found.number() < other.number());
            if reading.is_without_format && other.is_none_or(is_behind) {
                continue;
            }
            if !decide_alike(found, other) {
                return Err(Ambiguity::Readings { one: describe(found), other: describe(other) });
            }
        }
        Ok(found)
    }
}

fn decide_alike(one: Option<&Rule>, other: Option<&Rule>) -> bool {
    one.map(Rule::demands) == other.map(Rule::demands)
}

fn describe(rule: Option<&Rule>) -> String {
    rule.map_or_else(|| "no rule".to_owned(), |rule| format!("rule {}", rule.number()))
}
