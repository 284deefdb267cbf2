//! [`ValidationErrors`]: what is wrong with values that somebody sent, each with the field that it is about.

use std::fmt::Display;

use serde::Serialize;
use utoipa::ToSchema;

/// One thing wrong: the field's name as it is in JSON (and in a form), and one sentence for who filled it in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct FieldError {
    #[schema(example = "message")]
    pub field: String,
    #[schema(example = "Write a message: it is empty.")]
    pub message: String,
}

/// At least one thing wrong with what was sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.first().map_or("invalid", |e| e.message.as_str()))]
pub struct ValidationErrors(pub Vec<FieldError>);

impl ValidationErrors {
    pub fn single(field: &str, message: impl Display) -> Self {
        Self(vec![FieldError {
            field: field.to_owned(),
            message: message.to_string(),
        }])
    }

    /// The sentence about `field`, if there is one.
    pub fn message_for(&self, field: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|e| e.field == field)
            .map(|e| e.message.as_str())
    }
}

/// Gathers what is wrong with several fields, so that all of it is told at once.
#[derive(Debug, Default)]
pub struct Checks(Vec<FieldError>);

impl Checks {
    /// The value, or `None` after noting what is wrong with `field`.
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

    /// Fails if anything was noted.
    pub fn finish(self) -> Result<(), ValidationErrors> {
        if self.0.is_empty() {
            Ok(())
        } else {
            Err(ValidationErrors(self.0))
        }
    }
}
