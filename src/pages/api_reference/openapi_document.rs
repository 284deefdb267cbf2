//! Converts the OpenAPI document into the contents of the API reference.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::schema::{FieldDoc, example_value, field_doc, field_docs, resolve_schema};
use super::{
    CallDoc, CallGroup, InlineSegment, OverviewSection, ReferenceContents, RequestBodyDoc,
    ResponseDoc, SchemaDoc,
};

pub(super) fn build_reference_contents(document: &Value) -> ReferenceContents {
    let mut introduction = Vec::new();
    let mut overview = Vec::new();
    for paragraph in split_into_paragraphs(&document["info"]["description"]) {
        // A paragraph that starts with a bold title, such as "**Lists**", is a section of the
        // overview.
        match paragraph
            .strip_prefix("**")
            .and_then(|rest| rest.split_once("**"))
        {
            Some((title, rest)) => {
                let title = title.trim_end_matches('.');
                overview.push(OverviewSection {
                    anchor: anchor_for(title),
                    title: title.to_owned(),
                    description: split_inline_code(rest.trim_start()),
                });
            }
            None => introduction.push(split_inline_code(&paragraph)),
        }
    }
    let tags = document["tags"].as_array().into_iter().flatten();
    ReferenceContents {
        introduction,
        overview,
        errors: common_error_responses(document),
        groups: tags.map(|tag| call_group(document, tag)).collect(),
        schemas: object_schema_docs(document),
    }
}

/// Returns the error responses that several calls share, sorted by status.
fn common_error_responses(document: &Value) -> Vec<ResponseDoc> {
    let mut errors = BTreeMap::new();
    for (_, methods) in object_entries(&document["paths"]) {
        for (_, operation) in object_entries(methods) {
            for (status, response) in object_entries(&operation["responses"]) {
                if response["$ref"].is_string() {
                    errors.insert(status.clone(), response_doc(document, status, response));
                }
            }
        }
    }
    errors.into_values().collect()
}

fn object_entries(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().map(Map::iter).into_iter().flatten()
}

/// Splits a description into paragraphs, and replaces the line breaks inside them with spaces.
fn split_into_paragraphs(description: &Value) -> Vec<String> {
    let text = description.as_str().unwrap_or_default();
    let paragraphs = text.split("\n\n").map(|p| p.trim().replace('\n', " "));
    paragraphs.filter(|p| !p.is_empty()).collect()
}

/// Splits text at backticks into plain segments and code segments.
pub(super) fn split_inline_code(text: &str) -> Vec<InlineSegment> {
    let parts = text.split('`').enumerate();
    parts
        .map(|(index, text)| InlineSegment {
            text: text.to_owned(),
            is_code: index % 2 == 1,
        })
        .filter(|segment| !segment.text.is_empty())
        .collect()
}

fn anchor_for(title: &str) -> String {
    title.to_lowercase().replace(' ', "-")
}

fn call_group(document: &Value, tag: &Value) -> CallGroup {
    let name = tag["name"].as_str().unwrap_or_default();
    let mut calls = Vec::new();
    for (path, methods) in object_entries(&document["paths"]) {
        for method in ["get", "post", "patch", "delete"] {
            let operation = &methods[method];
            if operation["tags"][0] == name {
                calls.push(call_doc(document, path, method, operation));
            }
        }
    }
    CallGroup {
        anchor: anchor_for(name),
        name: name.to_owned(),
        description: split_inline_code(tag["description"].as_str().unwrap_or_default()),
        calls,
    }
}

fn call_doc(document: &Value, path: &str, method: &str, operation: &Value) -> CallDoc {
    let mut responses = Vec::new();
    let mut errors = Vec::new();
    for (status, response) in object_entries(&operation["responses"]) {
        let doc = response_doc(document, status, response);
        if status.as_str() < "400" {
            responses.push(doc);
        } else {
            errors.push(doc);
        }
    }
    let parameters = operation["parameters"].as_array().into_iter().flatten();
    let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
    CallDoc {
        anchor: operation["operationId"]
            .as_str()
            .unwrap_or_default()
            .to_owned(),
        method: method.to_uppercase(),
        path: path.to_owned(),
        title: operation["summary"].as_str().unwrap_or_default().to_owned(),
        paragraphs: split_into_paragraphs(&operation["description"])
            .iter()
            .map(|p| split_inline_code(p))
            .collect(),
        permission: split_inline_code(&describe_permission(&operation["security"])),
        parameters: parameters
            .map(|parameter| parameter_doc(document, parameter))
            .collect(),
        body: schema.is_object().then(|| RequestBodyDoc {
            is_optional: operation["requestBody"]["required"] == false,
            fields: field_docs(document, schema),
        }),
        curl: curl_command(document, path, method, operation),
        responses,
        errors,
    }
}

fn parameter_doc(document: &Value, parameter: &Value) -> FieldDoc {
    let name = parameter["name"].as_str().unwrap_or_default();
    let mut field = field_doc(
        document,
        name,
        &parameter["schema"],
        parameter["required"] == true,
    );
    field.location = parameter["in"].as_str().unwrap_or_default().to_owned();
    if let Some(description) = parameter["description"].as_str() {
        field.description = split_inline_code(description);
    }
    field
}

/// Describes the token that a call requires, such as ``Requires a token with the scope `full` ``.
/// If the call requires no token, returns `No token required`.
fn describe_permission(security: &Value) -> String {
    let mut scopes = Vec::new();
    let requirements = security.as_array().into_iter().flatten();
    for needed in requirements.filter_map(|requirement| requirement["token"].as_array()) {
        let scope = needed[0].as_str().unwrap_or_default();
        let restriction = if needed.iter().any(|role| role == "admin") {
            " (admins only)"
        } else {
            ""
        };
        scopes.push(format!("`{scope}`{restriction}"));
    }
    if scopes.is_empty() {
        "No token required".to_owned()
    } else {
        format!("Requires a token with the scope {}", scopes.join(" or "))
    }
}

fn response_doc(document: &Value, status: &str, response: &Value) -> ResponseDoc {
    let shared = response["$ref"]
        .as_str()
        .and_then(|path| path.rsplit('/').next());
    let resolved = match shared {
        Some(name) => &document["components"]["responses"][name],
        None => response,
    };
    let json = &resolved["content"]["application/json"]["schema"];
    let name = resolve_schema(document, json).1;
    let item = name.and_then(|name| name.strip_prefix("List_"));
    let headers = object_entries(&resolved["headers"]).filter(|(name, _)| *name != "X-Request-Id");
    let headers = headers.map(|(name, header)| {
        let mut field = field_doc(document, name, &header["schema"], false);
        field.description = split_inline_code(header["description"].as_str().unwrap_or_default());
        field
    });
    ResponseDoc {
        status: status.to_owned(),
        description: split_inline_code(resolved["description"].as_str().unwrap_or_default()),
        schema: item.or(name).map(str::to_owned),
        is_list: item.is_some(),
        headers: headers
            .filter(|field| !field.description.is_empty())
            .collect(),
        example: name.map(|_| format_json(&example_value(document, json))),
        is_common: shared.is_some(),
    }
}

fn format_json(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default()
}

/// Builds the part of a curl command after the base URL: the path and the options.
fn curl_command(document: &Value, path: &str, method: &str, operation: &Value) -> String {
    let mut path = path.to_owned();
    let mut lines = Vec::new();
    if operation["security"][0].is_object() {
        lines.push("-H \"Authorization: Bearer $TOKEN\"".to_owned());
    }
    for parameter in operation["parameters"].as_array().into_iter().flatten() {
        let name = parameter["name"].as_str().unwrap_or_default();
        if parameter["in"] == "path" {
            let value = example_value(document, &parameter["schema"]);
            path = path.replace(&format!("{{{name}}}"), value.as_str().unwrap_or("…"));
        } else if parameter["in"] == "header"
            && let Some(example) = parameter["example"].as_str()
        {
            lines.push(format!("-H \"{name}: {example}\""));
        }
    }
    let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
    if schema.is_object() {
        let value = example_value(document, schema);
        let short = value.to_string();
        let body = if short.len() <= 60 {
            short
        } else {
            format_json(&value)
        };
        lines.push("-H \"Content-Type: application/json\"".to_owned());
        lines.push(format!("-d '{body}'"));
    }
    let is_implied = method == "get" || (method == "post" && schema.is_object());
    if !is_implied {
        path = format!("{path} -X {}", method.to_uppercase());
    }
    lines.insert(0, path);
    lines.join(" \\\n  ")
}

/// Returns the documentation of all object schemas except lists (`List_…`). Other schemas are
/// described where they are used.
fn object_schema_docs(document: &Value) -> Vec<SchemaDoc> {
    let all = object_entries(&document["components"]["schemas"]);
    let objects = all.filter(|(name, schema)| {
        let has_fields = schema["properties"].is_object() || schema["allOf"].is_array();
        has_fields && !name.starts_with("List_")
    });
    objects
        .map(|(name, schema)| SchemaDoc {
            name: name.clone(),
            description: split_inline_code(schema["description"].as_str().unwrap_or_default()),
            fields: field_docs(document, schema),
        })
        .collect()
}
