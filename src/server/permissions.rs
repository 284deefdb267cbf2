//! Who may do what: the one place where roles and scopes are weighed.
//!
//! `web::routes` and `api::routes` name for each address what it needs; their guards ask here.

use crate::domain::account::{Role, Scope};

/// What a page or call needs of who asks for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// Anybody may.
    Nothing,
    /// Any user.
    Member,
    /// An admin: settings, webhooks, secrets, deliveries, people.
    Admin,
    /// Any user, and also a token that may do this alone: `POST /api/v1/feedback`.
    Submit,
    /// An admin, and also a token of one that may do this alone: `GET /metrics`.
    Metrics,
}

/// Whether a user of this role, through a token of this scope (or a session: `Full`), may have what needs `needs`.
pub fn allows(needs: Needs, role: Role, scope: Scope) -> bool {
    match (needs, scope) {
        (Needs::Nothing, _) => true,
        (Needs::Submit, Scope::Full | Scope::Submit) | (Needs::Member, Scope::Full) => true,
        (Needs::Admin, Scope::Full) | (Needs::Metrics, Scope::Full | Scope::Metrics) => {
            role == Role::Admin
        }
        (Needs::Submit, Scope::Metrics) | (Needs::Metrics, Scope::Submit) => false,
        (Needs::Member | Needs::Admin, Scope::Submit | Scope::Metrics) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_and_a_narrow_token_are_kept_from_what_is_the_admins() {
        assert!(allows(Needs::Admin, Role::Admin, Scope::Full));
        assert!(!allows(Needs::Admin, Role::Member, Scope::Full));
        assert!(!allows(Needs::Admin, Role::Admin, Scope::Submit));
        assert!(!allows(Needs::Member, Role::Admin, Scope::Metrics));
        assert!(allows(Needs::Metrics, Role::Admin, Scope::Metrics));
        assert!(!allows(Needs::Metrics, Role::Member, Scope::Full));
        assert!(!allows(Needs::Metrics, Role::Admin, Scope::Submit));
        assert!(allows(Needs::Submit, Role::Member, Scope::Submit));
        assert!(!allows(Needs::Submit, Role::Admin, Scope::Metrics));
    }
}
