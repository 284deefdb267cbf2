//! Permissions: the roles and token scopes that can access each route.
//!
//! A route table lists the permission that each route requires. The `auth` modules of `api` and
//! `pages` check the permission before a handler runs.

use crate::domain::account::{Role, Scope};

/// The permission that a route requires.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permission {
    /// No authentication is required.
    Public,
    /// Any user, with scope `full`.
    Member,
    /// Only admins, with scope `full`. Required to manage projects, webhooks, deliveries, API
    /// tokens, users, and personal data.
    Admin,
    /// Any user, with scope `full` or `submit`. Required for the calls that create
    /// feedback.
    Submit,
    /// Only admins, with scope `full` or `metrics`. Required for `GET /metrics`.
    Metrics,
}

/// Returns whether a role and a token scope grant a permission. A session counts as scope `Full`.
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
    fn members_and_limited_tokens_lack_admin_permissions() {
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
