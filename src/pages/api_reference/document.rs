//! From the OpenAPI document to what the page shows.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::Answer;
use super::Basic;
use super::Body;
use super::Call;
use super::Contents;
use super::Named;
use super::Noun;
use super::Piece;
use super::schema::{Field, field, fields, resolve, sample};

pub(super) fn read(document: &Value) -> Contents {
    let mut lead = Vec::new();
    let mut basics = Vec::new();
    for paragraph in paragraphs(&document["info"]["description"]) {
        // "**Lists** are newest first": what a paragraph is about stands at its beginning.
        match paragraph
            .strip_prefix("**")
            .and_then(|rest| rest.split_once("**"))
        {
            Some((title, rest)) => {
                let title = title.trim_end_matches('.');
                basics.push(Basic {
                    anchor: anchor(title),
                    title: title.to_owned(),
                    words: pieces(rest.trim_start()),
                });
            }
            None => lead.push(pieces(&paragraph)),
        }
    }
    let tags = document["tags"].as_array().into_iter().flatten();
    Contents {
        lead,
        basics,
        errors: common_errors(document),
        nouns: tags.map(|tag| noun(document, tag)).collect(),
        schemas: schemas(document),
    }
}

/// What calls have in common, by status.
fn common_errors(document: &Value) -> Vec<Answer> {
    let mut errors = BTreeMap::new();
    for (_, methods) in object(&document["paths"]) {
        for (_, operation) in object(methods) {
            for (status, response) in object(&operation["responses"]) {
                if response["$ref"].is_string() {
                    errors.insert(status.clone(), answer(document, status, response));
                }
            }
        }
    }
    errors.into_values().collect()
}

fn object(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().map(Map::iter).into_iter().flatten()
}

/// A description's paragraphs, each in one line.
fn paragraphs(description: &Value) -> Vec<String> {
    let text = description.as_str().unwrap_or_default();
    let paragraphs = text.split("\n\n").map(|p| p.trim().replace('\n', " "));
    paragraphs.filter(|p| !p.is_empty()).collect()
}

/// What stands between backticks is code.
pub(super) fn pieces(text: &str) -> Vec<Piece> {
    let parts = text.split('`').enumerate();
    parts
        .map(|(index, text)| Piece {
            text: text.to_owned(),
            is_code: index % 2 == 1,
        })
        .filter(|piece| !piece.text.is_empty())
        .collect()
}

fn anchor(title: &str) -> String {
    title.to_lowercase().replace(' ', "-")
}

fn noun(document: &Value, tag: &Value) -> Noun {
    let name = tag["name"].as_str().unwrap_or_default();
    let mut calls = Vec::new();
    for (path, methods) in object(&document["paths"]) {
        for method in ["get", "post", "patch", "delete"] {
            let operation = &methods[method];
            if operation["tags"][0] == name {
                calls.push(call(document, path, method, operation));
            }
        }
    }
    Noun {
        anchor: anchor(name),
        name: name.to_owned(),
        words: pieces(tag["description"].as_str().unwrap_or_default()),
        calls,
    }
}

fn call(document: &Value, path: &str, method: &str, operation: &Value) -> Call {
    let mut answers = Vec::new();
    let mut errors = Vec::new();
    for (status, response) in object(&operation["responses"]) {
        let answer = answer(document, status, response);
        if status.as_str() < "400" {
            answers.push(answer);
        } else {
            errors.push(answer);
        }
    }
    let parameters = operation["parameters"].as_array().into_iter().flatten();
    let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
    Call {
        anchor: operation["operationId"]
            .as_str()
            .unwrap_or_default()
            .to_owned(),
        method: method.to_uppercase(),
        path: path.to_owned(),
        title: operation["summary"].as_str().unwrap_or_default().to_owned(),
        paragraphs: paragraphs(&operation["description"])
            .iter()
            .map(|p| pieces(p))
            .collect(),
        who: pieces(&who(&operation["security"])),
        parameters: parameters
            .map(|parameter| of_parameter(document, parameter))
            .collect(),
        body: schema.is_object().then(|| Body {
            may_be_left_out: operation["requestBody"]["required"] == false,
            fields: fields(document, schema),
        }),
        curl: curl(document, path, method, operation),
        answers,
        errors,
    }
}

fn of_parameter(document: &Value, parameter: &Value) -> Field {
    let name = parameter["name"].as_str().unwrap_or_default();
    let mut field = field(
        document,
        name,
        &parameter["schema"],
        parameter["required"] == true,
    );
    field.place = parameter["in"].as_str().unwrap_or_default().to_owned();
    if let Some(description) = parameter["description"].as_str() {
        field.words = pieces(description);
    }
    field
}

/// `` `full` or `submit` ``, with the role where only admins may.
fn who(security: &Value) -> String {
    let mut tokens = Vec::new();
    let requirements = security.as_array().into_iter().flatten();
    for needed in requirements.filter_map(|requirement| requirement["token"].as_array()) {
        let scope = needed[0].as_str().unwrap_or_default();
        let of_admin = needed.iter().any(|role| role == "admin");
        tokens.push(format!(
            "`{scope}`{}",
            if of_admin { " of an admin" } else { "" }
        ));
    }
    if tokens.is_empty() {
        "No token needed".to_owned()
    } else {
        format!("Token with the scope {}", tokens.join(" or "))
    }
}

fn answer(document: &Value, status: &str, response: &Value) -> Answer {
    let shared = response["$ref"]
        .as_str()
        .and_then(|path| path.rsplit('/').next());
    let said = match shared {
        Some(name) => &document["components"]["responses"][name],
        None => response,
    };
    let json = &said["content"]["application/json"]["schema"];
    let name = resolve(document, json).1;
    let item = name.and_then(|name| name.strip_prefix("List_"));
    let headers = object(&said["headers"]).filter(|(name, _)| *name != "X-Request-Id");
    let headers = headers.map(|(name, header)| {
        let mut field = field(document, name, &header["schema"], false);
        field.words = pieces(header["description"].as_str().unwrap_or_default());
        field
    });
    Answer {
        status: status.to_owned(),
        words: pieces(said["description"].as_str().unwrap_or_default()),
        schema: item.or(name).map(str::to_owned),
        is_list: item.is_some(),
        headers: headers.filter(|field| !field.words.is_empty()).collect(),
        example: name.map(|_| pretty(&sample(document, json))),
        is_common: shared.is_some(),
    }
}

fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default()
}

/// A line for a terminal, from the path on.
fn curl(document: &Value, path: &str, method: &str, operation: &Value) -> String {
    let mut path = path.to_owned();
    let mut lines = Vec::new();
    if operation["security"][0].is_object() {
        lines.push("-H \"Authorization: Bearer $TOKEN\"".to_owned());
    }
    for parameter in operation["parameters"].as_array().into_iter().flatten() {
        let name = parameter["name"].as_str().unwrap_or_default();
        if parameter["in"] == "path" {
            let value = sample(document, &parameter["schema"]);
            path = path.replace(&format!("{{{name}}}"), value.as_str().unwrap_or("…"));
        } else if parameter["in"] == "header"
            && let Some(example) = parameter["example"].as_str()
        {
            lines.push(format!("-H \"{name}: {example}\""));
        }
    }
    let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
    if schema.is_object() {
        let value = sample(document, schema);
        let short = value.to_string();
        let body = if short.len() <= 60 {
            short
        } else {
            pretty(&value)
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

/// The objects that calls take and answer; what is only a text or a page of others is told where it stands.
fn schemas(document: &Value) -> Vec<Named> {
    let all = object(&document["components"]["schemas"]);
    let objects = all.filter(|(name, schema)| {
        let has_fields = schema["properties"].is_object() || schema["allOf"].is_array();
        has_fields && !name.starts_with("List_")
    });
    objects
        .map(|(name, schema)| Named {
            name: name.clone(),
            words: pieces(schema["description"].as_str().unwrap_or_default()),
            fields: fields(document, schema),
        })
        .collect()
}
