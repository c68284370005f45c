//! A mapping from claims to a username, a profile and teams, written in code; and its explanation.
//!
//! ```sh
//! cargo run --example mapping
//! ```

use std::collections::BTreeMap;
use std::error::Error;

use claimgate::identity::{GroupDetail, GroupSpec, Mapping, MappingSpec, NameSource, OneOrMany, TeamSpec};
use claimgate::limits::Limits;
use serde_json::json;

fn mapping() -> Result<Mapping, claimgate::identity::MappingError> {
    let spec = MappingSpec {
        // The first path that selects a value is used.
        username: OneOrMany::Many(vec!["email".to_owned(), "sub".to_owned()]),
        require_verified_email: true,
        profile: BTreeMap::from([("city".to_owned(), "$.address.locality".to_owned())]),
        groups: vec![
            GroupSpec::Path("$.realm_access.roles[*]".to_owned()),
            GroupSpec::Detailed(GroupDetail {
                path: "departments".to_owned(),
                separator: Some(",".to_owned()),
                ..GroupDetail::default()
            }),
        ],
        team: vec![
            TeamSpec {
                group: Some("crm-admin".to_owned()),
                team: Some("Administrators".to_owned()),
                ..TeamSpec::default()
            },
            TeamSpec {
                regex: Some("dept-(?<name>[a-z]+)".to_owned()),
                team: Some("Department {name}".to_owned()),
                ..TeamSpec::default()
            },
        ],
        deny_unmatched: true,
        ..MappingSpec::default()
    };
    // Once: an invalid path, pattern or template is an error that names its setting.
    Mapping::compile(&spec, &Limits::DEFAULT)
}

fn main() -> Result<(), Box<dyn Error>> {
    let mapping = mapping()?;
    // In a program, `token.claims().as_value()` of a verified token.
    let claims = json!({
        "sub": "1", "email": "Ada@Example.com", "email_verified": true,
        "address": {"locality": "London"},
        "realm_access": {"roles": ["crm-admin", "offline_access"]}, "departments": "dept-sales,dept-legal",
    });
    let identity = mapping.identify(&claims)?;
    assert_eq!(identity.username, "ada@example.com");
    assert_eq!(identity.name_source, NameSource::VerifiedEmail);
    assert_eq!(identity.profile["city"], "London");
    assert_eq!(identity.teams, ["Administrators", "Department legal", "Department sales"]);

    let stranger = json!({"sub": "2", "email": "eve@example.com", "email_verified": true});
    let refusal = mapping.identify(&stranger).map_err(|error| error.code());
    assert_eq!(refusal.err(), Some("identity.no_team"));

    // The same decision with its reasons: each path with what it selected, each rule with the group it fired on.
    let explanation = mapping.explain(&claims);
    assert_eq!(explanation.identity, Some(identity));
    println!("{explanation}");
    Ok(())
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_step_works() {
        super::main().expect("the example");
    }
}
