//! [`FormField`]: the value and the error of a form field.

use crate::domain::validation::ValidationErrors;

#[derive(Default)]
pub struct FormField {
    pub value: String,
    /// The reason the submitted value is invalid; `None` if it is valid or wasn't submitted.
    pub error: Option<String>,
}

impl FormField {
    pub fn new(value: &str) -> Self {
        Self {
            value: value.to_owned(),
            error: None,
        }
    }

    /// Creates a field with a submitted value, and the error that `errors` contains for the field.
    pub fn from_submitted_value(name: &str, value: &str, errors: &ValidationErrors) -> Self {
        Self {
            value: value.to_owned(),
            error: errors.message_for(name).map(str::to_owned),
        }
    }
}
