//! The paths of the hosted product's API. Clients of the hosted product work after changing the
//! host and the token.
//!
//! These paths differ from `/api/v1` in their lists, in the members of projects and feedback, and
//! in accepting the token as `?api_key=`. Permissions, errors, and limits are the same.

pub(super) mod feedback;
pub(super) mod projects;

/// The start of all paths of the hosted API.
pub(super) const PATH_PREFIX: &str = "/api/projects";
