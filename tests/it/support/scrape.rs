//! Reads `GET /metrics`, and compares two responses.

use std::collections::BTreeMap;

use super::api::Api;

/// The samples of a response: names with labels, and values.
pub struct Scrape(pub BTreeMap<String, f64>);

impl Scrape {
    #[track_caller]
    pub fn new(api: &Api) -> Self {
        let text = api.get("/metrics").expect(200).text;
        let samples = text.lines().filter(|line| !line.starts_with('#'));
        Self(
            samples
                .map(|line| {
                    let (sample, value) = line.rsplit_once(' ').expect("find a value");
                    (sample.to_owned(), value.parse().expect("parse the value"))
                })
                .collect(),
        )
    }

    #[track_caller]
    pub fn get(&self, sample: &str) -> f64 {
        let found = self.0.get(sample);
        *found.unwrap_or_else(|| panic!("no sample {sample} in {:#?}", self.0))
    }

    /// Returns the differences between two responses, for samples that start with `prefix`.
    pub fn changes_since(&self, before: &Self, prefix: &str) -> BTreeMap<String, f64> {
        let samples = self.0.iter().filter(|(name, _)| name.starts_with(prefix));
        samples
            .map(|(name, value)| {
                let before = before.0.get(name).copied().unwrap_or_default();
                (name.clone(), value - before)
            })
            .filter(|(_, change)| *change != 0.0)
            .collect()
    }
}

/// Returns the changes of all samples that start with `prefix` while `action` runs.
#[track_caller]
pub fn changes(api: &Api, prefix: &str, action: impl FnOnce()) -> BTreeMap<String, f64> {
    let before = Scrape::new(api);
    action();
    Scrape::new(api).changes_since(&before, prefix)
}

pub fn expected<const N: usize>(changes: [(&str, f64); N]) -> BTreeMap<String, f64> {
    let changes = changes.map(|(name, change)| (name.to_owned(), change));
    changes.into_iter().collect()
}
