//! Event types.

use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use super::webhook::Topic;

/// The type of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventType {
    Topic(Topic),
    Test,
}

impl EventType {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Topic(topic) => topic.as_str(),
            Self::Test => "test",
        }
    }

    /// Returns all event types: the topics, then `test`.
    pub fn all() -> impl Iterator<Item = Self> {
        Topic::ALL.into_iter().map(Self::Topic).chain([Self::Test])
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::all().find(|event| event.as_str() == text)
    }
}

impl PartialSchema for EventType {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .enum_values(Some(Self::all().map(Self::as_str)))
            .into()
    }
}

impl ToSchema for EventType {}
