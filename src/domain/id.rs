//! Ids: as text, a short prefix, `_`, and a ULID (26 letters and digits); in memory and in the
//! database, the 16 bytes of the ULID. Ids of one type sort in order of creation.
//!
//! Slugs can't contain an underscore, so an id is never mistaken for a slug. The store's writer
//! owns the only [`IdSequence`] for stored objects, so the order of ids is the order of commits.

use std::fmt;

use serde::{Serialize, Serializer};
use ulid::{ULID_LEN, Ulid};
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use crate::clock::Timestamp;
use crate::random;

/// Generates strictly increasing ULIDs, even if the clock goes backwards.
#[derive(Debug)]
pub struct IdSequence {
    last: Ulid,
}

impl IdSequence {
    /// Creates a sequence that continues after `last`, the greatest ULID so far. In a new database,
    /// `last` is `None`.
    pub fn starting_after(last: Option<Ulid>) -> Self {
        Self {
            last: last.unwrap_or(Ulid::nil()),
        }
    }

    /// Generates the next id.
    pub fn next<T: Id>(&mut self, now: Timestamp) -> T {
        let millis = u64::try_from(now.millis()).unwrap_or(0);
        let random = || Ulid::from_parts(millis, u128::from_be_bytes(random::bytes()));
        // Within a millisecond, or if the clock went backwards, increment the last ULID. Its 80
        // random bits practically never overflow.
        let next = if millis > self.last.timestamp_ms() {
            random()
        } else {
            self.last.increment().unwrap_or_else(|_| random())
        };
        self.last = next;
        T::from_ulid(next)
    }
}

/// The common interface of all id types.
pub trait Id: Copy + fmt::Display {
    /// The text before the `_`.
    const PREFIX: &str;

    fn from_ulid(ulid: Ulid) -> Self;

    fn ulid(self) -> Ulid;

    /// Parses the canonical form of an id, as [`Display`](fmt::Display) writes it.
    fn parse(text: &str) -> Option<Self> {
        let text = text.strip_prefix(Self::PREFIX)?.strip_prefix('_')?;
        let ulid = Ulid::from_string(text).ok()?;
        // The parser also accepts lower case, and drops bits of a value that is too large.
        let mut canonical = [0; ULID_LEN];
        (ulid.array_to_str(&mut canonical) == text).then(|| Self::from_ulid(ulid))
    }

    /// Parses an id. Returns the nil id, which no object has, if the text is invalid.
    fn parse_or_nil(text: impl AsRef<str>) -> Self {
        Self::parse(text.as_ref()).unwrap_or_else(|| Self::from_ulid(Ulid::nil()))
    }
}

/// Returns the lowest ULID that can be generated at `time`.
pub fn lowest_ulid_at(time: Timestamp) -> Ulid {
    let millis = u64::try_from(time.millis()).unwrap_or(0);
    Ulid::from_parts(millis, 0)
}

/// Returns the OpenAPI schema of an id. A ULID is base32 without the letters I, L, O, and U.
fn id_schema(prefix: &str) -> RefOr<Schema> {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .pattern(Some(format!("^{prefix}_[0-7][0-9A-HJKMNP-TV-Z]{{25}}$")))
        .examples([format!("{prefix}_01K8X3Q6M5T9V2W7Y4Z1A3B5C7")])
        .into()
}

macro_rules! define_id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; 16]);

        impl $name {
            /// Creates an id from the bytes of a ULID, as the database stores them.
            pub fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(bytes)
            }

            pub fn as_bytes(&self) -> &[u8; 16] {
                &self.0
            }
        }

        impl Id for $name {
            const PREFIX: &str = $prefix;

            fn from_ulid(ulid: Ulid) -> Self {
                Self(ulid.to_bytes())
            }

            fn ulid(self) -> Ulid {
                Ulid::from_bytes(self.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "_{}"), self.ulid())
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                id_schema(Self::PREFIX)
            }
        }

        impl ToSchema for $name {}
    };
}

define_id!(/// The id of a project, `prj_…`.
    ProjectId, "prj");
define_id!(/// The id of feedback, `fb_…`.
    FeedbackId, "fb");
define_id!(/// The id of a webhook, `wh_…`.
    WebhookId, "wh");
define_id!(/// The id of a delivery, `dlv_…`. Endpoints use it to detect duplicates.
    DeliveryId, "dlv");
define_id!(/// The id of a user, `usr_…`.
    UserId, "usr");
define_id!(/// The id of an API token, `tok_…`. The id isn't the token.
    TokenId, "tok");
define_id!(/// The id of an alert, `alr_…`. The receiving endpoint uses it to detect duplicates.
    AlertId, "alr");
define_id!(/// The id of a session, `ses_…`. The id isn't the value of the cookie.
    SessionId, "ses");
define_id!(/// The id of a one-time link, `lnk_…`. The id isn't the token in the URL.
    LinkId, "lnk");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_increase_even_if_the_clock_goes_backwards() {
        let mut sequence = IdSequence::starting_after(None);
        let mut previous: FeedbackId = sequence.next(Timestamp::from_millis(1_000_000));
        for step in 0..1000_i64 {
            let id: FeedbackId = sequence.next(Timestamp::from_millis(
                1_000_000 + step / 10 - (step % 7) * 100,
            ));
            assert!(id > previous, "{id} should be greater than {previous}");
            previous = id;
        }
        let mut restarted = IdSequence::starting_after(Some(previous.ulid()));
        assert!(restarted.next::<FeedbackId>(Timestamp::from_millis(0)) > previous);
    }

    #[test]
    fn parses_only_the_canonical_form_of_an_id() {
        let id = "fb_01K8X3Q6M5T9V2W7Y4Z1A3B5C7";
        assert_eq!(FeedbackId::parse(id).unwrap().to_string(), id);
        for invalid in [
            "01K8X3Q6M5T9V2W7Y4Z1A3B5C7",
            "wh_01K8X3Q6M5T9V2W7Y4Z1A3B5C7",
            "fb_01k8x3q6m5t9v2w7y4z1a3b5c7",
            "fb_ZZZZZZZZZZZZZZZZZZZZZZZZZZ",
            "fb_81K8X3Q6M5T9V2W7Y4Z1A3B5C7",
            "fb_O1K8X3Q6M5T9V2W7Y4Z1A3B5C7",
            "fb_01K8X3Q6M5T9V2W7Y4Z1A3B5C",
            "fb_",
        ] {
            assert_eq!(FeedbackId::parse(invalid), None, "{invalid}");
            assert_eq!(FeedbackId::parse_or_nil(invalid).ulid(), Ulid::nil());
        }
    }
}
