//! Access to applications behind a proxy: which rule decides on a request, and whether the rule admits a user.
//!
//! An [`ApplicationSpec`] is an application with its rules as written; [`Applications::compile`] validates all of them
//! and prepares an index by host once. A request selects a rule by its host, its path and its method alone; the user
//! is looked at afterwards. The first rule that fits decides: a user whom it refuses is not offered the next one, so
//! that a rule for everybody behind a rule for a few opens nothing to the others.
//!
//! A rule may also demand that the person authenticated lately (`max_age`) and in which way (`acr`), and conditions on the
//! claims of the sign-in or of the bearer token. [`Denial::Authentication`] is a refusal that a new sign-in may change, and
//! says what to ask the provider for.
//!
//! An application may read a path in another way than the proxy and this module do: `/%61dmin`, `/admin//`,
//! `/admin;x`, `/admin.json` and `/ADMIN` can all be `/admin`, and `//x/admin` too. A path is therefore read in every
//! way that applications are known to read it, and a request whose readings select rules that decide differently is
//! refused, as is a path that no browser sends, such as one with `..`.
//!
//! [`Headers`] say under which names the application gets the user of a request that is admitted.
//!
//! ```
//! use claimgate::access::{ApplicationSpec, Applications, Request, Selection};
//!
//! let wiki: ApplicationSpec = serde_json::from_str(r#"{
//!     "hosts": ["wiki.example.com"],
//!     "rule": [
//!         {"paths": ["/health"], "methods": ["GET"], "allow": "anyone"},
//!         {"paths": ["/admin/*"], "teams": ["Administrators"]},
//!         {"allow": "signed_in"}
//!     ]
//! }"#)?;
//! let applications = Applications::compile(&[wiki])?;
//! let select = |path| applications.select(&Request::new("wiki.example.com", path, "GET"));
//! assert!(matches!(select("/health?full"), Selection::Rule { rule, .. } if rule.number() == 1));
//! assert!(matches!(select("/admin/users"), Selection::Rule { rule, .. } if rule.number() == 2));
//! assert!(matches!(select("/pages/%2e%2e/admin"), Selection::Ambiguous { .. }));
//! // A header names a part of the path: `X-Script-Name: /pages`.
//! let request = Request::new("wiki.example.com", "/pages/admin", "GET").with_prefix();
//! assert!(matches!(applications.select(&request), Selection::Ambiguous { .. }));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod authentication;
mod caller;
mod error;
mod header_name;
mod headers;
mod host;
mod method_override;
mod override_header;
mod path;
mod path_override;
mod pattern;
mod rule;
mod rules;
mod spec;
mod who;

pub use authentication::Authentication;
pub use caller::Caller;
pub use error::{AccessError, AccessProblem};
pub use headers::{Header, Headers};
pub use override_header::OverrideHeader;
pub use path::PathProblem;
pub use rule::{Denial, Insufficient, Rule};
pub use rules::{Ambiguity, Application, Applications, Request, Selection};
pub use spec::{
    Allow, ApplicationSpec, ConditionSpec, Content, Encoding, HeaderSpec, HeadersSpec, Preset, RuleSpec,
};
pub use who::{Missing, MissingTeams, Who};
