//! Parses the query parameters of list requests, and defines the JSON format of a page.

use std::marker::PhantomData;
use std::ops::RangeInclusive;

use actix_web::HttpRequest;
use serde::Serialize;
use utoipa::openapi::RefOr;
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::{IntoParams, PartialSchema, ToSchema};

use crate::domain::id::Id;
use crate::server::problem::Problem;
use crate::store::{Page, PageRequest};

const LIMIT_DEFAULT: usize = 25;
pub(super) const LIMIT_MAX: usize = 100;

/// The query parameters of a list request.
pub(super) struct QueryParams(Vec<(String, String)>);

impl QueryParams {
    pub(super) fn parse(request: &HttpRequest) -> Result<Self, Problem> {
        serde_urlencoded::from_str(request.query_string())
            .map(Self)
            .map_err(|_| Problem::invalid_field("", "The query string is invalid."))
    }

    /// Returns the first value of the parameter `name`.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(n, _)| n == name)
            .map(|(_, value)| value.as_str())
    }

    /// Parses a parameter that is a number. Returns `None` without the parameter.
    pub(super) fn number(
        &self,
        name: &str,
        range: RangeInclusive<usize>,
    ) -> Result<Option<usize>, Problem> {
        let Some(text) = self.get(name) else {
            return Ok(None);
        };
        let digits = Some(text).filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
        let number = digits.and_then(|digits| digits.parse().ok());
        let Some(number) = number.filter(|number| range.contains(number)) else {
            let (min, max) = range.into_inner();
            let message = format!("The {name} must be a number from {min} to {max}.");
            return Err(Problem::invalid_field(name, message));
        };
        Ok(Some(number))
    }

    /// Parses `limit` and `cursor`. A cursor is the id of the last item on the previous page.
    pub(super) fn page_request<T: Id>(&self) -> Result<PageRequest, Problem> {
        let limit = self
            .number("limit", 1..=LIMIT_MAX)?
            .unwrap_or(LIMIT_DEFAULT);
        let before = match self.get("cursor") {
            None => None,
            Some(cursor) => {
                let id = T::parse(cursor).ok_or_else(|| {
                    Problem::invalid_field(
                        "cursor",
                        "Invalid cursor. Use the nextCursor of the previous page.",
                    )
                })?;
                Some(id.ulid())
            }
        };
        Ok(PageRequest { limit, before })
    }
}

/// The OpenAPI parameters that [`QueryParams::page_request`] parses, for a list of items with ids
/// of type `T`.
pub(super) struct PageParams<T>(PhantomData<T>);

impl<T: Id + PartialSchema> IntoParams for PageParams<T> {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let parameter = |name: &str, description: &str, schema: RefOr<Schema>| {
            ParameterBuilder::new()
                .name(name)
                .parameter_in(ParameterIn::Query)
                .description(Some(description))
                .schema(Some(schema))
                .build()
        };
        let limit = ObjectBuilder::new()
            .schema_type(Type::Integer)
            .minimum(Some(1))
            .maximum(Some(LIMIT_MAX))
            .default(Some(LIMIT_DEFAULT.into()));
        vec![
            parameter(
                "limit",
                "The maximum number of items on a page.",
                limit.into(),
            ),
            parameter(
                "cursor",
                "The `nextCursor` of the previous page. Omit it for the first page.",
                T::schema(),
            ),
        ]
    }
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct List<T> {
    /// The items, newest first.
    data: Vec<T>,
    /// The `cursor` of the next page. Null on the last page.
    #[schema(required = true)]
    next_cursor: Option<String>,
}

impl<T> List<T> {
    pub(super) fn from_page<U>(page: Page<U>, view: impl FnMut(U) -> T) -> Self {
        Self {
            data: page.items.into_iter().map(view).collect(),
            next_cursor: page.next_cursor,
        }
    }
}
