//! [`ValidationErrors`]: invalid input, reported by field.

use std::fmt::Display;

use serde::Serialize;
use utoipa::ToSchema;

/// An error in one field: its name in JSON and in forms, and a sentence for the person who sent it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct FieldError {
    #[schema(example = "message")]
    pub field: String,
    #[schema(example = "Enter a message.")]
    pub message: String,
}

/// One or more errors in the fields of a request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.first().map_or("invalid", |e| e.message.as_str()))]
pub struct ValidationErrors(pub Vec<FieldError>);

impl ValidationErrors {
    /// Creates a single error.
    pub fn single(field: &str, message: impl Display) -> Self {
        Self(vec![FieldError {
            field: field.to_owned(),
            message: message.to_string(),
        }])
    }

    /// Returns the first message about `field`.
    pub fn message_for(&self, field: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|e| e.field == field)
            .map(|e| e.message.as_str())
    }
}

/// Collects the validation errors of several fields.
#[derive(Debug, Default)]
pub struct Checks(Vec<FieldError>);

impl Checks {
    /// Returns the value, or records the error for `field` and returns `None`.
    pub fn take<T, E: Display>(&mut self, field: &str, result: Result<T, E>) -> Option<T> {
        result
            .map_err(|error| {
                self.0.push(FieldError {
                    field: field.to_owned(),
                    message: error.to_string(),
                })
            })
            .ok()
    }

    /// Returns the recorded errors, if there are any.
    pub fn finish(self) -> Result<(), ValidationErrors> {
        if self.0.is_empty() {
            Ok(())
        } else {
            Err(ValidationErrors(self.0))
        }
    }
}
