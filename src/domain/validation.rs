//! Validates input, and reports errors by field.

use std::fmt::Display;
use std::ops::RangeInclusive;

use serde::Serialize;
use utoipa::ToSchema;

use super::text::has_visible_char;

/// An invalid field: its name in JSON and in forms, and a message for the person who entered the
/// value.
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
    /// Creates the errors of a request with one invalid field.
    pub fn for_field(field: &str, message: impl Display) -> Self {
        Self(vec![FieldError {
            field: field.to_owned(),
            message: message.to_string(),
        }])
    }

    /// Returns the first message for `field`.
    pub fn message_for(&self, field: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|e| e.field == field)
            .map(|e| e.message.as_str())
    }
}

/// The reason a single-line text is invalid. The message is for the person who entered the text.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct SingleLineError(String);

/// Checks and trims a single-line text, such as a name. The text can't contain control characters
/// or line separators. If it isn't empty, it must contain a visible character.
///
/// `label` is the name of the text in messages. `chars` is the allowed length, in Unicode scalar
/// values.
pub fn check_single_line(
    label: &str,
    text: &str,
    chars: RangeInclusive<usize>,
) -> Result<String, SingleLineError> {
    let (text, (min, max)) = (text.trim(), chars.into_inner());
    Err(SingleLineError(match text.chars().count() {
        _ if text.contains(char::is_control) => {
            format!("The {label} contains a control character.")
        }
        _ if text.contains(['\u{2028}', '\u{2029}']) => {
            format!("The {label} contains a line separator.")
        }
        length if length < min => format!("Enter a {label} of {min} to {max} characters."),
        length if length > max => {
            format!("The {label} is too long: {length} characters, maximum {max}.")
        }
        1.. if !has_visible_char(text) => format!("The {label} has no visible characters."),
        _ => return Ok(text.to_owned()),
    }))
}

/// Returns the value, or converts the error to a validation error for `field`.
pub fn check_field<T, E: Display>(
    field: &str,
    result: Result<T, E>,
) -> Result<T, ValidationErrors> {
    result.map_err(|error| ValidationErrors::for_field(field, error))
}

/// Returns the values of all checks in a tuple, or the errors of every failed check.
pub fn check_all_fields<R: FieldResults>(results: R) -> Result<R::ValidValues, ValidationErrors> {
    results.collect()
}

/// A tuple of results of [`check_field`].
pub trait FieldResults {
    type ValidValues;

    fn collect(self) -> Result<Self::ValidValues, ValidationErrors>;
}

macro_rules! impl_field_results {
    ($($type:ident $value:ident),+) => {
        impl<$($type),+> FieldResults for ($(Result<$type, ValidationErrors>,)+) {
            type ValidValues = ($($type,)+);

            fn collect(self) -> Result<Self::ValidValues, ValidationErrors> {
                match self {
                    ($(Ok($value),)+) => Ok(($($value,)+)),
                    ($($value,)+) => {
                        let failed = [$($value.err()),+].into_iter().flatten();
                        Err(ValidationErrors(failed.flat_map(|errors| errors.0).collect()))
                    }
                }
            }
        }
    };
}

impl_field_results!(A a, B b);
impl_field_results!(A a, B b, C c);
impl_field_results!(A a, B b, C c, D d);
impl_field_results!(A a, B b, C c, D d, E e);
impl_field_results!(A a, B b, C c, D d, E e, F f);
impl_field_results!(A a, B b, C c, D d, E e, F f, G g);
impl_field_results!(A a, B b, C c, D d, E e, F f, G g, H h);

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(errors: &ValidationErrors) -> Vec<&str> {
        errors.0.iter().map(|error| error.field.as_str()).collect()
    }

    #[test]
    fn returns_all_values_or_all_errors() {
        let valid = |value: u8| check_field::<_, &str>("valid", Ok(value));
        let invalid = |field| check_field::<u8, _>(field, Err("invalid"));
        assert_eq!(check_all_fields((valid(1), valid(2))), Ok((1, 2)));
        let errors = check_all_fields((invalid("a"), valid(2), invalid("b"))).unwrap_err();
        assert_eq!(fields(&errors), ["a", "b"]);
        let nested =
            check_all_fields((check_all_fields((invalid("a"), invalid("b"))), invalid("c")))
                .unwrap_err();
        assert_eq!(fields(&nested), ["a", "b", "c"]);
    }
}
