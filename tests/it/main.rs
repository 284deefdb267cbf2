//! Miniback from the outside: each test starts the real executable on a data directory of its own, and knows of it
//! what users and receivers know. One crate, one file a behaviour; what they stand on is in `support`.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on fails, and the line says where"
)]

mod account_pages;
mod accounting;
mod accounts;
mod alerts;
mod api;
mod api_access;
mod api_document;
mod axe;
mod backup;
mod bad_bodies;
mod bad_input;
mod base_path;
mod cancellation;
mod cli;
mod connections;
mod crashes;
mod delivery_list;
mod delivery_pages;
mod demo;
mod doctor;
mod door;
mod every_route;
mod failures;
mod faults;
mod feedback_export;
mod feedback_in_browser;
mod feedback_list;
mod guide;
mod harness;
mod kill_storm;
mod leaks;
mod limits;
mod listen;
mod live;
mod metrics;
mod moved_clock;
mod notifications;
mod page_guards;
mod payloads;
mod people;
mod plain_form;
mod pressed_twice;
mod privacy;
mod project_pages;
mod receive_page;
mod receiver_uses;
mod receivers;
mod redelivery;
mod request_headers;
mod retries;
mod retry_after;
mod schemathesis;
mod secrets;
mod sessions;
mod settings_in_a_browser;
mod shutdown;
mod space;
mod subscriptions;
mod support;
mod targets;
mod test_deliveries;
mod tidy;
mod token_pages;
mod unusable_data;
mod widget;
mod widget_script;
mod widget_use;
