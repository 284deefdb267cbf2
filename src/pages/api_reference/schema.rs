//! Describes JSON schemas: fields, their types and limits, and an example value.

use serde_json::{Map, Value, json};

use super::InlineSegment;
use super::openapi_document::split_inline_code;
use crate::pages::framework::format::group_digits;

/// The documentation of an object member, a parameter, or a header.
pub(super) struct FieldDoc {
    pub(super) name: String,
    /// The location of a parameter (`path`, `query`, or `header`); empty for other fields.
    pub(super) location: String,
    pub(super) is_required: bool,
    pub(super) value_type: Vec<InlineSegment>,
    /// The name of the schema that the page links to; `None` unless the type is an object or a list
    /// of objects.
    pub(super) schema: Option<String>,
    pub(super) description: Vec<InlineSegment>,
}

/// Resolves a schema that can be a `$ref`. Returns the schema and, if it was referenced, its name.
pub(super) fn resolve_schema<'a>(
    document: &'a Value,
    schema: &'a Value,
) -> (&'a Value, Option<&'a str>) {
    let name = schema["$ref"]
        .as_str()
        .and_then(|path| path.rsplit('/').next());
    match name {
        Some(name) => (&document["components"]["schemas"][name], Some(name)),
        None => (schema, None),
    }
}

/// Returns the documentation of an object's members. Members inherited through `allOf` come last.
pub(super) fn field_docs(document: &Value, schema: &Value) -> Vec<FieldDoc> {
    let (schema, _) = resolve_schema(document, schema);
    let empty = Vec::new();
    let parts = schema["allOf"].as_array().unwrap_or(&empty);
    let required = schema["required"].as_array().unwrap_or(&empty);
    let members = schema["properties"].as_object().into_iter().flatten();
    let own = members.map(|(name, member)| {
        field_doc(document, name, member, required.iter().any(|n| n == name))
    });
    own.chain(
        parts
            .iter()
            .rev()
            .flat_map(|part| field_docs(document, part)),
    )
    .collect()
}

pub(super) fn field_doc(
    document: &Value,
    name: &str,
    schema: &Value,
    is_required: bool,
) -> FieldDoc {
    let description = schema["description"].as_str();
    let (value_type, schema_name) = describe_type(document, schema);
    let referenced = resolve_schema(document, non_null_schema(schema)).0;
    let description = description
        .or(non_null_schema(schema)["description"].as_str())
        .or(referenced["description"].as_str());
    FieldDoc {
        name: name.to_owned(),
        location: String::new(),
        is_required,
        value_type: split_inline_code(&value_type),
        schema: schema_name,
        description: split_inline_code(description.unwrap_or_default()),
    }
}

/// Returns the first alternative of a `oneOf` schema that isn't null. Returns other schemas
/// unchanged.
fn non_null_schema(schema: &Value) -> &Value {
    let choices = schema["oneOf"].as_array();
    choices
        .and_then(|choices| choices.iter().find(|choice| choice["type"] != "null"))
        .unwrap_or(schema)
}

/// Returns a description of a type and, for objects and lists of objects, the name of the object's
/// schema. The description doesn't repeat this name.
///
/// Examples: `list of string`, `` `NEW`, `REVIEWED`, or `RESOLVED` ``, `number or null, 1 to 100`.
fn describe_type(document: &Value, schema: &Value) -> (String, Option<String>) {
    let inner = non_null_schema(schema);
    let (resolved, name) = resolve_schema(document, inner);
    let types: Vec<&str> = match &resolved["type"] {
        Value::String(name) => vec![name.as_str()],
        Value::Array(names) => names.iter().filter_map(Value::as_str).collect(),
        _ => vec!["object"],
    };
    let is_nullable = !std::ptr::eq(inner, schema) || types.contains(&"null");
    let mut schema_name = None;
    let mut description = match types.first().copied().unwrap_or_default() {
        _ if resolved["enum"].is_array() => join_enum_values(&resolved["enum"]),
        "array" => {
            let (item_type, item_name) = describe_type(document, &resolved["items"]);
            schema_name = item_name;
            if schema_name.is_some() {
                "list of".to_owned()
            } else {
                format!("list of {item_type}")
            }
        }
        "object" => {
            schema_name = name.map(str::to_owned);
            let has_fields = resolved["properties"].is_object() || resolved["allOf"].is_array();
            if has_fields {
                String::new()
            } else {
                schema_name = None;
                "object".to_owned()
            }
        }
        "string" if resolved["format"] == "date-time" => "timestamp".to_owned(),
        "integer" | "number" => "number".to_owned(),
        "boolean" => "`true` or `false`".to_owned(),
        other => other.to_owned(),
    };
    if is_nullable && schema_name.is_none() {
        description.push_str(" or null");
    }
    for limit in describe_constraints(resolved) {
        description.push_str(", ");
        description.push_str(&limit);
    }
    (description, schema_name)
}

fn join_enum_values(values: &Value) -> String {
    let quoted: Vec<String> = values
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .map(|value| format!("`{value}`"))
        .collect();
    match quoted.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, [first])) => format!("{first} or {last}"),
        Some((last, others)) => format!("{}, or {last}", others.join(", ")),
        None => String::new(),
    }
}

fn describe_constraints(schema: &Value) -> Vec<String> {
    let mut limits = Vec::new();
    for (least, most, unit) in [
        ("minLength", "maxLength", " characters"),
        ("minItems", "maxItems", " items"),
        ("minProperties", "maxProperties", " members"),
        ("minimum", "maximum", ""),
    ] {
        match (schema[least].as_u64(), schema[most].as_u64()) {
            (Some(least), Some(most)) => {
                limits.push(format!("{least} to {}{unit}", group_digits(most)));
            }
            (None, Some(most)) => limits.push(format!("at most {}{unit}", group_digits(most))),
            _ => {}
        }
    }
    if !schema["default"].is_null() {
        limits.push(format!("default {}", schema["default"]));
    }
    // Patterns are omitted, because the descriptions explain them.
    limits
}

fn explicit_example(schema: &Value) -> Option<&Value> {
    schema.get("example").or_else(|| schema["examples"].get(0))
}

/// Returns an example value of a schema. Optional members are included only if they have an
/// example.
pub(super) fn example_value(document: &Value, schema: &Value) -> Value {
    if let Some(example) = explicit_example(schema) {
        return example.clone();
    }
    if schema["oneOf"].is_array() {
        return Value::Null;
    }
    let (schema, _) = resolve_schema(document, schema);
    if let Some(example) = explicit_example(schema) {
        return example.clone();
    }
    if let Some(first) = schema["enum"].get(0) {
        return first.clone();
    }
    if schema["items"].is_object() {
        return json!([example_value(document, &schema["items"])]);
    }
    let mut object = Map::new();
    if let Some(parts) = schema["allOf"].as_array() {
        for part in parts.iter().rev() {
            if let Value::Object(part) = example_value(document, part) {
                object.extend(part);
            }
        }
    }
    let required = schema["required"].as_array();
    for (name, member) in schema["properties"].as_object().into_iter().flatten() {
        let is_required = required.is_some_and(|names| names.iter().any(|n| n == name));
        let resolved = resolve_schema(document, member).0;
        if is_required
            || explicit_example(member)
                .or(explicit_example(resolved))
                .is_some()
        {
            object.insert(name.clone(), example_value(document, member));
        }
    }
    match schema["type"].as_str() {
        Some("boolean") => json!(true),
        Some("integer" | "number") => json!(0),
        Some("string") => json!(""),
        _ if object.is_empty() && schema["type"].is_array() => Value::Null,
        _ => Value::Object(object),
    }
}
