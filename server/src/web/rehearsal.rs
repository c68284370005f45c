//! What a sign-in would change: decided by the sign-in's own rules; nothing is written.

use claimgate::identity::Identity;
use claimgate::oidc::records::View;
use claimgate::oidc::sign_in::{self, Account};
use claimgate_config::{Config, Provider};

/// Returns what a sign-in by this identity would do to the users that the store holds, one change per text.
pub(crate) fn changes(config: &Config, provider: &Provider, view: View, identity: &Identity) -> Vec<String> {
    let fields: Vec<&str> = provider.mapping.profile_fields().collect();
    let plan = match sign_in::decide_account(view, identity, &fields, &config.sign_in) {
        Err(error) => return vec![format!("be refused: {error} [{}]", error.code())],
        Ok(plan) => plan,
    };
    let user = plan.account.username();
    let mut lines = match plan.account {
        Account::New { .. } => vec![format!("create the user {user:?}")],
        Account::Unlinked(..) => vec![format!("link this person to the user {user:?}")],
        Account::Linked(..) => Vec::new(),
    };
    lines.extend(plan.changes.iter().map(ToString::to_string));
    if lines.is_empty() {
        lines.push(format!("change nothing of {user:?}"));
    }
    lines
}
