//! Lists: `limit`, `cursor` and filters of the query, and the envelope of the answer.

use std::marker::PhantomData;

use actix_web::HttpRequest;
use serde::Serialize;
use utoipa::openapi::RefOr;
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::{IntoParams, PartialSchema, ToSchema};

use super::problem::Problem;
use crate::domain::id::{Id, parse_ulid};
use crate::store::{Page, PageRequest};

const LIMIT_DEFAULT: usize = 25;
const LIMIT_MAX: usize = 100;

/// The query of a list.
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    pub(super) fn of(request: &HttpRequest) -> Result<Self, Problem> {
        serde_urlencoded::from_str(request.query_string())
            .map(Self)
            .map_err(|_| Problem::field("", "The query of the address cannot be read."))
    }

    /// The first value of `name`.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(n, _)| n == name)
            .map(|(_, value)| value.as_str())
    }

    /// Page by `limit` and `cursor`; a cursor is the id that ended the page before.
    pub(super) fn page<T: Id>(&self) -> Result<PageRequest, Problem> {
        let limit = match self.get("limit") {
            None => LIMIT_DEFAULT,
            Some(text) => Some(text)
                .filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))
                .and_then(|text| text.parse().ok())
                .filter(|limit| (1..=LIMIT_MAX).contains(limit))
                .ok_or_else(|| {
                    Problem::field(
                        "limit",
                        format!("The limit is a number from 1 to {LIMIT_MAX}."),
                    )
                })?,
        };
        let before = match self.get("cursor") {
            None => None,
            Some(cursor)
                if cursor
                    .strip_prefix(T::PREFIX)
                    .is_some_and(|rest| rest.starts_with('_'))
                    && parse_ulid(cursor).is_some() =>
            {
                Some(cursor.to_owned())
            }
            Some(_) => {
                return Err(Problem::field(
                    "cursor",
                    "This is not a cursor of this list: take the nextCursor of its last page.",
                ));
            }
        };
        Ok(PageRequest { limit, before })
    }
}

/// What [`Query::page`] reads of a list of what has ids `T`, for the document.
pub(super) struct Paging<T>(PhantomData<T>);

impl<T: Id + PartialSchema> IntoParams for Paging<T> {
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
                "How many there are at most on a page.",
                limit.into(),
            ),
            parameter(
                "cursor",
                "The `nextCursor` of the page before; without it, the first page.",
                T::schema(),
            ),
        ]
    }
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct List<T> {
    /// Newest first.
    data: Vec<T>,
    /// For `cursor`, to get the next page; null on the last one.
    #[schema(required = true)]
    next_cursor: Option<String>,
}

impl<T> List<T> {
    pub(super) fn of<U>(page: Page<U>, view: impl FnMut(U) -> T) -> Self {
        Self {
            data: page.items.into_iter().map(view).collect(),
            next_cursor: page.next_cursor,
        }
    }
}
