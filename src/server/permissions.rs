//! Who may do what: the one place where roles and scopes are weighed.
//!
//! `web::routes` and `api::routes` name for each address what it needs; their guards ask here.

use crate::domain::account::{Role, Scope};

/// What a page or call needs of who asks for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permission {
    /// Anybody may.
    Public,
    /// Any user.
    Member,
    /// An admin: settings, webhooks, secrets, deliveries, people.
    Admin,
    /// Any user, and also a token that may do this alone: `POST /api/v1/feedback`.
    Submit,
    /// An admin, and also a token of one that may do this alone: `GET /metrics`.
    Metrics,
}

/// Whether a user of this role, through a token of this scope (or a session: `Full`), may have what needs `permission`.
pub fn is_allowed(permission: Permission, role: Role, scope: Scope) -> bool {
    match (permission, scope) {
        (Permission::Public, _) => true,
        (Permission::Submit, Scope::Full | Scope::Submit) | (Permission::Member, Scope::Full) => {
            true
        }
        (Permission::Admin, Scope::Full) | (Permission::Metrics, Scope::Full | Scope::Metrics) => {
            role == Role::Admin
        }
        (Permission::Submit, Scope::Metrics) | (Permission::Metrics, Scope::Submit) => false,
        (Permission::Member | Permission::Admin, Scope::Submit | Scope::Metrics) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_and_a_narrow_token_are_kept_from_what_is_the_admins() {
        assert!(is_allowed(Permission::Admin, Role::Admin, Scope::Full));
        assert!(!is_allowed(Permission::Admin, Role::Member, Scope::Full));
        assert!(!is_allowed(Permission::Admin, Role::Admin, Scope::Submit));
        assert!(!is_allowed(Permission::Member, Role::Admin, Scope::Metrics));
        assert!(is_allowed(Permission::Metrics, Role::Admin, Scope::Metrics));
        assert!(!is_allowed(Permission::Metrics, Role::Member, Scope::Full));
        assert!(!is_allowed(Permission::Metrics, Role::Admin, Scope::Submit));
        assert!(is_allowed(Permission::Submit, Role::Member, Scope::Submit));
        assert!(!is_allowed(Permission::Submit, Role::Admin, Scope::Metrics));
    }
}
