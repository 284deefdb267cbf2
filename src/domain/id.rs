//! Identifiers: a short prefix, `_` and a ULID (26 letters and digits), so that sorting them gives the order of creation.
//!
//! An underscore cannot stand in a slug, so an id is never mistaken for one. [`IdSequence`] makes them; the store's
//! writer owns the one there is, which makes the order of ids the order of commits.

use std::fmt;

use serde::{Serialize, Serializer};
use ulid::Ulid;
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use crate::clock::Timestamp;
use crate::random;

/// Makes ULIDs of which each is greater than the one before, also when the clock goes backwards.
#[derive(Debug)]
pub struct IdSequence {
    last: Ulid,
}

impl IdSequence {
    /// Goes on after `last`, the greatest ULID handed out so far (`None` for a new database).
    pub fn after(last: Option<Ulid>) -> Self {
        Self {
            last: last.unwrap_or(Ulid::nil()),
        }
    }

    pub fn next<T: Id>(&mut self, now: Timestamp) -> T {
        let millis = u64::try_from(now.millis()).unwrap_or(0);
        let fresh = || Ulid::from_parts(millis, u128::from_be_bytes(random::bytes()));
        // Within one millisecond the order comes from counting up; 2^80 of them do not fit into one.
        let next = if millis > self.last.timestamp_ms() {
            fresh()
        } else {
            self.last.increment().unwrap_or_else(|_| fresh())
        };
        self.last = next;
        T::from_ulid(next)
    }
}

/// What all kinds of identifiers have in common.
pub trait Id: Sized {
    /// What stands before the `_`.
    const PREFIX: &str;

    fn from_ulid(ulid: Ulid) -> Self;
}

/// The ULID inside an id of any kind, if it is well formed.
pub fn parse_ulid(id: &str) -> Option<Ulid> {
    id.split_once('_')
        .and_then(|(_, ulid)| Ulid::from_string(ulid).ok())
}

/// How an id is described to programs; its ULID is base32 without the letters I, L, O and U.
fn schema(prefix: &str) -> RefOr<Schema> {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .pattern(Some(format!("^{prefix}_[0-7][0-9A-HJKMNP-TV-Z]{{25}}$")))
        .examples([format!("{prefix}_01K8X3Q6M5T9V2W7Y4Z1A3B5C7")])
        .into()
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            /// Any text; one that is no id of this kind names nothing that exists.
            pub fn new(text: impl Into<String>) -> Self {
                Self(text.into())
            }

            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl Id for $name {
            const PREFIX: &str = $prefix;

            fn from_ulid(ulid: Ulid) -> Self {
                Self(format!(concat!($prefix, "_{}"), ulid))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                schema(Self::PREFIX)
            }
        }

        impl ToSchema for $name {}
    };
}

impl DeliveryId {
    /// What stands for it where sets of them are kept and copied; `nil` for a text that is no id.
    pub fn ulid(&self) -> Ulid {
        parse_ulid(&self.0).unwrap_or(Ulid::nil())
    }
}

id!(/// A project, `prj_…`.
    ProjectId, "prj");
id!(/// A feedback, `fb_…`.
    FeedbackId, "fb");
id!(/// A webhook, `wh_…`.
    WebhookId, "wh");
id!(/// An event, `evt_…`; seen inside only.
    EventId, "evt");
id!(/// A delivery, `dlv_…`: what a receiver deduplicates by.
    DeliveryId, "dlv");
id!(/// A user, `usr_…`.
    UserId, "usr");
id!(/// An API token, `tok_…` (the id, not the token itself).
    TokenId, "tok");
id!(/// An alert, `alr_…`: what its receiver deduplicates by.
    AlertId, "alr");
id!(/// A browser's session, `ses_…` (the id, not the cookie's value).
    SessionId, "ses");
id!(/// A one-time link, `lnk_…` (the id, not what opens it).
    LinkId, "lnk");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_sort_in_order_of_creation_even_when_the_clock_goes_backwards() {
        let mut sequence = IdSequence::after(None);
        let mut previous: FeedbackId = sequence.next(Timestamp::from_millis(1_000_000));
        for step in 0..1000_i64 {
            let id: FeedbackId = sequence.next(Timestamp::from_millis(
                1_000_000 + step / 10 - (step % 7) * 100,
            ));
            assert!(id > previous, "{id} after {previous}");
            previous = id;
        }
        let mut restarted = IdSequence::after(parse_ulid(previous.as_str()));
        assert!(restarted.next::<FeedbackId>(Timestamp::from_millis(0)) > previous);
    }
}
