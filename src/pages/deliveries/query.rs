//! The query parameters of a delivery list: filters, search by id, and cursor.

use std::borrow::Cow;

use std::time::Duration;

use crate::clock::Timestamp;
use crate::domain::delivery::DeliveryState;
use crate::domain::event::EventType;
use crate::domain::id::{DeliveryId, FeedbackId, Id, WebhookId};
use crate::pages::framework::context::RequestContext;
use crate::pages::framework::day_range::{CUSTOM_RANGE, DayRange, ZoneOffsets};
use crate::pages::framework::navigation::state_query_string;
use crate::pages::framework::page_error::PageError;
use crate::store::DeliverySearch;

/// A period that ends now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecentPeriod {
    /// The value in URLs.
    pub key: &'static str,
    /// The label of the filter option, such as `Last hour`.
    pub label: &'static str,
    /// The period in a sentence, such as `the last hour`.
    pub phrase: &'static str,
    hours: u64,
}

impl RecentPeriod {
    /// The periods, shortest first.
    pub const ALL: [Self; 4] = [
        Self::new("1h", "Last hour", "the last hour", 1),
        Self::new("24h", "Last 24 hours", "the last 24 hours", 24),
        Self::WEEK,
        Self::new("30d", "Last 30 days", "the last 30 days", 24 * 30),
    ];
    pub const WEEK: Self = Self::new("7d", "Last 7 days", "the last 7 days", 24 * 7);

    const fn new(key: &'static str, label: &'static str, phrase: &'static str, hours: u64) -> Self {
        Self {
            key,
            label,
            phrase,
            hours,
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|period| period.key == text)
    }

    pub fn start(self, now: Timestamp) -> Timestamp {
        now.minus(Duration::from_secs(self.hours * 3600))
    }
}

/// The id in the search field. `None` if the field is empty, and `Invalid` for other text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SearchedId {
    None,
    Delivery(DeliveryId),
    Feedback(FeedbackId),
    Invalid,
}

#[derive(Clone, Debug)]
pub struct DeliveryListQuery {
    /// Always `None` in the list of one webhook.
    pub webhook: Option<WebhookId>,
    pub state: Option<DeliveryState>,
    pub event: Option<EventType>,
    pub period: Option<RecentPeriod>,
    /// The range of days that limits the list instead of a period.
    pub range: Option<DayRange>,
    pub offsets: ZoneOffsets,
    /// The text of the search field.
    pub text: String,
    /// The list contains only deliveries older than the delivery with this id.
    pub before: Option<DeliveryId>,
    /// The period of the confirmation that asks whether to redeliver failed or canceled deliveries.
    pub redeliver: Option<RecentPeriod>,
}

impl DeliveryListQuery {
    /// Parses the parameters. Fails with [`PageError::InvalidFilter`] if a filter is invalid.
    pub fn parse(context: &RequestContext) -> Result<Self, PageError> {
        let parameter = |name| context.query_param(name).filter(|value| !value.is_empty());
        let text = |name| parameter(name).unwrap_or_default();
        let (from, to) = (text("from"), text("to"));
        // The form submits an empty `period` for "Any time". The dates are then ignored.
        let is_range = match context.query_param("period") {
            Some(period) => period == CUSTOM_RANGE,
            None => !from.is_empty() || !to.is_empty(),
        };
        let period = parameter("period").filter(|period| period != CUSTOM_RANGE);
        let offsets = ZoneOffsets::parse(&text("tz"));
        Ok(Self {
            range: is_range.then(|| DayRange::parse(from, to, &offsets)),
            offsets,
            webhook: parameter("webhook").map(WebhookId::parse_or_nil),
            state: parse_parameter("state", parameter("state"), DeliveryState::parse)?,
            event: parse_parameter("event", parameter("event"), EventType::parse)?,
            period: parse_parameter("period", period, RecentPeriod::parse)?,
            text: text("q").trim().to_owned(),
            before: parameter("before").and_then(|id| DeliveryId::parse(&id)),
            redeliver: parse_parameter("redeliver", parameter("redeliver"), RecentPeriod::parse)?,
        })
    }

    pub fn searched_id(&self) -> SearchedId {
        if self.text.is_empty() {
            return SearchedId::None;
        }
        let delivery = DeliveryId::parse(&self.text).map(SearchedId::Delivery);
        let feedback = || FeedbackId::parse(&self.text).map(SearchedId::Feedback);
        delivery.or_else(feedback).unwrap_or(SearchedId::Invalid)
    }

    /// Converts the filters to a search. A given `webhook` overrides the webhook filter.
    pub fn to_search(&self, webhook: Option<&WebhookId>, now: Timestamp) -> DeliverySearch {
        let (created_from, created_until) = match &self.range {
            Some(range) => (range.from, range.until),
            None => (self.period.map(|period| period.start(now)), None),
        };
        let feedback = match self.searched_id() {
            SearchedId::Feedback(id) => Some(id),
            _ => None,
        };
        DeliverySearch {
            webhook: webhook.or(self.webhook.as_ref()).cloned(),
            feedback,
            state: self.state,
            event: self.event,
            created_from,
            created_until,
        }
    }

    /// Returns the reason the range of days is invalid.
    pub fn date_problem(&self) -> Option<&'static str> {
        self.range.as_ref()?.problem
    }

    /// Returns whether a filter or a search limits the list.
    pub fn is_filtered(&self) -> bool {
        self.webhook.is_some()
            || self.state.is_some()
            || self.event.is_some()
            || self.period.is_some()
            || self.range.is_some()
            || !self.text.is_empty()
    }

    /// Returns the names and values of the query parameters of all active filters and of the
    /// search.
    pub fn filter_pairs(&self) -> Vec<(&'static str, Cow<'_, str>)> {
        let non_empty = |text| Some(text).filter(|text: &&str| !text.is_empty());
        let range = self.range.as_ref();
        let period = self.period.map(|period| period.key);
        let webhook = self.webhook.map(|id| ("webhook", id.to_string().into()));
        let pairs = [
            ("state", self.state.map(DeliveryState::as_str)),
            ("event", self.event.map(EventType::as_str)),
            ("period", period.or(range.map(|_| CUSTOM_RANGE))),
            ("from", range.and_then(|range| non_empty(&range.first_day))),
            ("to", range.and_then(|range| non_empty(&range.last_day))),
            ("tz", range.and_then(|_| non_empty(&self.offsets.text))),
            ("q", non_empty(self.text.as_str())),
        ];
        let pairs = pairs
            .into_iter()
            .filter_map(|(name, value)| Some((name, value?.into())));
        webhook.into_iter().chain(pairs).collect()
    }

    /// Returns the number of active filters that narrow screens hide in a disclosure.
    pub fn hidden_filter_count(&self) -> usize {
        let has_period = self.period.is_some() || self.range.is_some();
        usize::from(self.event.is_some()) + usize::from(has_period)
    }

    /// Returns the text in the search field as a query string.
    pub fn text_query_string(&self) -> String {
        serde_urlencoded::to_string([("q", &self.text)]).unwrap_or_default()
    }

    /// Returns the query string of a link to a delivery. It contains the state if the list shows
    /// only failed or canceled deliveries, so that the delivery's page links to the next delivery
    /// in this state.
    pub fn delivery_query_string(&self) -> String {
        state_query_string(self.state.filter(|state| is_unsuccessful(*state)))
    }

    /// Returns the filters as a query string, with an optional extra pair.
    pub fn query_string(&self, extra: Option<(&str, &str)>) -> String {
        let extra = extra.map(|(name, value)| (name, value.into()));
        let pairs: Vec<(&str, Cow<'_, str>)> =
            self.filter_pairs().into_iter().chain(extra).collect();
        serde_urlencoded::to_string(pairs).unwrap_or_default()
    }
}

/// Returns whether the state is failed or canceled.
pub fn is_unsuccessful(state: DeliveryState) -> bool {
    matches!(state, DeliveryState::Failed | DeliveryState::Canceled)
}

fn parse_parameter<T>(
    name: &'static str,
    text: Option<String>,
    parse: impl FnOnce(&str) -> Option<T>,
) -> Result<Option<T>, PageError> {
    let parse = |text: String| parse(&text).ok_or(PageError::InvalidFilter(name));
    text.map(parse).transpose()
}
