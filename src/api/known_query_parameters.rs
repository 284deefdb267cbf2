//! Rejects query parameters that the OpenAPI document doesn't list for a call, because ignoring a
//! misspelled filter would be misleading. Also rejects repeated parameters and invalid UTF-8.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::LazyLock;

use actix_web::http::Method;
use utoipa::openapi::path::{Operation, ParameterIn};

use super::openapi;
use crate::server::form_data::is_percent_encoded_utf8;
use crate::server::problem::Problem;

const API_PREFIX: &str = "/api/v1/";

/// The names of the query parameters, by method and path. Operations without query parameters are
/// omitted.
type ParametersByOperation = HashMap<(Method, String), BTreeSet<String>>;

/// Rejects a query string with invalid UTF-8 or, under `/api/v1`, with unknown or repeated
/// parameters. `route` is the pattern of the call's path, without the base path.
pub(super) fn check_query_string(method: &Method, route: &str, query: &str) -> Result<(), Problem> {
    if !is_percent_encoded_utf8(query.as_bytes()) {
        let message = "The query string is not valid UTF-8.";
        return Err(Problem::Malformed(message.to_owned()));
    }
    if !route.starts_with(API_PREFIX) {
        return Ok(());
    }
    static KNOWN: LazyLock<ParametersByOperation> = LazyLock::new(parameters_by_operation);
    let method = if *method == Method::HEAD {
        &Method::GET
    } else {
        method
    };
    let known = KNOWN.get(&(method.clone(), route.to_owned()));
    let mut names = HashSet::new();
    for (name, _) in url::form_urlencoded::parse(query.as_bytes()) {
        if !known.is_some_and(|known| known.contains(name.as_ref())) {
            return Err(Problem::invalid_field(
                &name,
                unknown_parameter_message(known),
            ));
        }
        if let Some(name) = names.replace(name) {
            return Err(Problem::invalid_field(
                &name,
                format!("“{name}” appears twice."),
            ));
        }
    }
    Ok(())
}

fn unknown_parameter_message(known: Option<&BTreeSet<String>>) -> String {
    match known {
        None => "Unknown query parameter. This call has no query parameters.".to_owned(),
        Some(known) => {
            let names: Vec<&str> = known.iter().map(String::as_str).collect();
            format!(
                "Unknown query parameter. This call accepts {}.",
                names.join(", ")
            )
        }
    }
}

fn parameters_by_operation() -> ParametersByOperation {
    let mut known = HashMap::new();
    for (path, item) in openapi::document("/").api.paths.paths {
        let operations = [
            (Method::GET, item.get),
            (Method::POST, item.post),
            (Method::PATCH, item.patch),
            (Method::DELETE, item.delete),
        ];
        for (method, operation) in operations {
            let names = operation.map(query_parameter_names).unwrap_or_default();
            if !names.is_empty() {
                known.insert((method, path.clone()), names);
            }
        }
    }
    known
}

fn query_parameter_names(operation: Operation) -> BTreeSet<String> {
    let parameters = operation.parameters.unwrap_or_default().into_iter();
    parameters
        .filter(|parameter| matches!(parameter.parameter_in, ParameterIn::Query))
        .map(|parameter| parameter.name)
        .collect()
}
