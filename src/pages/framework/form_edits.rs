//! Edit forms save only the fields that the person changed.
//!
//! A form records the value that each field was loaded with (`templates/loaded.html`). A field
//! whose submitted value equals the loaded value isn't saved. If somebody else has changed the same
//! field to a different value, nothing is saved, and the form shows both values.

use unicode_normalization::UnicodeNormalization;

use crate::server::form_data::FormData;

/// The prefix of the hidden fields that contain the loaded values.
pub const LOADED_FIELD_PREFIX: &str = "loaded.";

/// A field of an edit form: its name and label.
pub type EditField = (&'static str, &'static str);

/// A hidden field that contains a loaded value: the name of the hidden field, and the loaded value.
pub type LoadedField = (String, String);

/// The fields that the person changed.
#[derive(Clone, Debug)]
pub struct FormEdits(Vec<FieldEdit>);

#[derive(Clone, Debug)]
struct FieldEdit {
    field: EditField,
    /// The value that the field was loaded with. If the form contains no loaded value, `loaded` is
    /// `None`, and the field counts as changed.
    loaded: Option<String>,
    submitted: String,
    /// The submitted value in its stored format, such as a normalized URL.
    canonical: String,
}

/// A field that the person and somebody else have changed to different values.
#[derive(Debug)]
pub struct FieldConflict {
    pub name: &'static str,
    pub label: &'static str,
    pub current: String,
    pub submitted: String,
}

impl FormEdits {
    pub fn from_form(form: &FormData, fields: &[EditField]) -> Self {
        let edits = fields.iter().filter_map(|field| {
            let submitted = normalize_values(form.get_all(field.0));
            let loaded = read_loaded_value(form, field.0).map(|text| normalize_values([text]));
            let is_changed = loaded.as_ref() != Some(&submitted);
            is_changed.then_some(FieldEdit {
                field: *field,
                loaded,
                canonical: submitted.clone(),
                submitted,
            })
        });
        Self(edits.collect())
    }

    /// Sets the value that would be stored for a submitted value, such as a normalized URL.
    /// Submitting a value that is already stored then isn't a conflict.
    pub fn set_canonical_value(&mut self, name: &str, value: &str) {
        for edit in self.0.iter_mut().filter(|edit| edit.field.0 == name) {
            edit.canonical = normalize_values([value]);
        }
    }

    pub fn is_changed(&self, name: &str) -> bool {
        self.0.iter().any(|edit| edit.field.0 == name)
    }

    /// Returns `value` if the person changed the field `name`.
    pub fn value_if_changed<T>(&self, name: &str, value: T) -> Option<T> {
        self.is_changed(name).then_some(value)
    }

    /// Returns the changed fields whose stored value differs from both the loaded and the submitted
    /// value. A field without a loaded value never has a conflict. `current` returns the stored
    /// value as the form would contain it.
    pub fn conflicts(&self, current: impl Fn(&str) -> String) -> Vec<FieldConflict> {
        let conflicts = self.0.iter().filter_map(|edit| {
            let (name, label) = edit.field;
            let current = normalize_values([current(name).as_str()]);
            let is_same = |loaded: &String| {
                is_canonically_equivalent(loaded, &current)
                    || is_canonically_equivalent(&edit.canonical, &current)
            };
            let has_changed = !edit.loaded.as_ref().is_none_or(is_same);
            has_changed.then(|| FieldConflict {
                name,
                label,
                current,
                submitted: edit.submitted.clone(),
            })
        });
        conflicts.collect()
    }

    /// Returns a conflict between the submitted value and the stored value `current`, even if they
    /// are equal. For example, the text of the headers field doesn't show that a stored value has
    /// changed. Returns `None` if the person didn't change the field.
    pub fn field_conflict(&self, name: &str, current: &str) -> Option<FieldConflict> {
        let edit = self.0.iter().find(|edit| edit.field.0 == name)?;
        Some(FieldConflict {
            name: edit.field.0,
            label: edit.field.1,
            current: current.trim_end().to_owned(),
            submitted: edit.submitted.clone(),
        })
    }
}

/// Returns whether two texts are equal after Unicode normalization (NFC).
fn is_canonically_equivalent(one: &str, other: &str) -> bool {
    one == other || one.nfc().eq(other.nfc())
}

/// Returns the hidden fields with the values that an edit form is loaded with.
pub fn loaded_values(fields: &[EditField], value: impl Fn(&str) -> String) -> Vec<LoadedField> {
    fields
        .iter()
        .map(|(name, _)| (format!("{LOADED_FIELD_PREFIX}{name}"), value(name)))
        .collect()
}

/// Returns the value that a field was loaded with, if the form contains it.
pub fn read_loaded_value<'a>(form: &'a FormData, name: &str) -> Option<&'a str> {
    let name = format!("{LOADED_FIELD_PREFIX}{name}");
    let mut fields = form.iter().filter(|(n, _)| *n == name);
    fields.next().map(|(_, value)| value.as_str())
}

/// Joins the values of a group of checkboxes into one loaded value.
pub fn join_checkbox_values<'a>(values: impl IntoIterator<Item = &'a str>) -> String {
    normalize_values(values)
}

/// Returns whether the values of a field equal its loaded value.
pub(super) fn is_equal_to_loaded<'a>(
    values: impl IntoIterator<Item = &'a str>,
    loaded: &str,
) -> bool {
    normalize_values(values) == normalize_values([loaded])
}

/// Sorts and joins the values of a field, with LF line breaks and without trailing whitespace.
/// Browsers send CR LF line breaks, and send checkboxes in page order.
fn normalize_values<'a>(values: impl IntoIterator<Item = &'a str>) -> String {
    let mut values: Vec<&str> = values.into_iter().collect();
    values.sort_unstable();
    let text = values.join("\n").replace("\r\n", "\n");
    text.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIELDS: [EditField; 3] = [("a", "A"), ("b", "B"), ("c", "C")];

    fn edits(fields: &[(&str, &str)]) -> FormEdits {
        let owned = fields.iter().map(|(n, v)| ((*n).into(), (*v).into()));
        FormEdits::from_form(&FormData::new(owned.collect()), &FIELDS)
    }

    #[test]
    fn only_fields_that_differ_from_the_loaded_value_are_changed() {
        let edits = edits(&[
            ("a", "new"),
            ("loaded.a", "old"),
            ("b", "one\r\ntwo\r\n"),
            ("loaded.b", "one\ntwo"),
            ("c", "2"),
            ("c", "1"),
            ("loaded.c", "1\n2"),
        ]);
        assert_eq!(
            ["a", "b", "c"].map(|name| edits.is_changed(name)),
            [true, false, false]
        );
    }

    #[test]
    fn a_form_without_loaded_values_changes_every_field_without_conflicts() {
        let edits = edits(&[("a", "new"), ("b", "")]);
        assert_eq!(
            ["a", "b", "c"].map(|name| edits.is_changed(name)),
            [true; 3]
        );
        assert!(edits.conflicts(|_| "other".into()).is_empty());
    }

    #[test]
    fn a_conflict_needs_a_third_value_of_a_changed_field() {
        let edits = edits(&[
            ("a", "mine"),
            ("loaded.a", "old"),
            ("b", "old"),
            ("loaded.b", "old"),
            ("loaded.c", "1"),
        ]);
        let conflicts = |a: &str, c: &str| {
            let found = edits.conflicts(|name| match name {
                "a" => a.into(),
                "b" => "theirs".into(),
                _ => c.into(),
            });
            found
                .iter()
                .map(|conflict| conflict.name)
                .collect::<Vec<_>>()
        };
        assert!(conflicts("old", "1").is_empty());
        assert!(conflicts("mine", "").is_empty());
        assert_eq!(conflicts("theirs", "1\n2"), ["a", "c"]);
    }

    #[test]
    fn values_that_look_the_same_are_no_conflict() {
        let edits = edits(&[("a", "Cafe\u{301}"), ("loaded.a", "Shop")]);
        assert!(edits.conflicts(|_| "Caf\u{e9}".into()).is_empty());
        assert_eq!(edits.conflicts(|_| "Cafe".into()).len(), 1);
    }
}
