//! Black-box tests: each one starts the real executable with its own data directory and uses it
//! like a user, a client program, or an endpoint. Each file covers one feature or behavior. The
//! test harness is in `support`. `tests/README.md` describes how to write a test.

#![expect(
    clippy::unwrap_used,
    reason = "a panic fails the test, and its message contains the line"
)]

mod accessibility;
mod account_pages;
mod alerts;
mod allowed_targets;
mod api;
mod api_conventions;
mod api_lists;
mod architecture;
mod attempt_outcomes;
mod backup;
mod backup_targets;
mod base_path;
mod cancellation;
mod cli;
mod cli_messages;
mod cli_users;
mod connections;
mod cookies;
mod crash_recovery;
mod data_directory;
mod delivery_list;
mod delivery_pages;
mod delivery_totals;
mod demo;
mod disk_space;
mod double_submit;
mod endpoint_code;
mod every_route;
mod example_integrations;
mod example_receivers;
mod feedback_export;
mod feedback_in_browser;
mod feedback_list;
mod guide;
mod guide_checklist;
mod harness;
mod ignored_settings;
mod intake;
mod invalid_bodies;
mod invalid_input;
mod kill_under_load;
mod listen;
mod live_updates;
mod manual_clock;
mod metrics;
mod one_time_links;
mod openapi;
mod page_security;
mod password_rules;
mod payloads;
mod people;
mod power_cuts;
mod privacy;
mod project_pages;
mod public_form;
mod query_parameters;
mod rate_limits;
mod redelivery;
mod replaced_database;
mod request_headers;
mod response_syntax;
mod retries;
mod retry_after;
mod retry_and_cancel;
mod schemathesis;
mod secret_rotation;
mod security_events;
mod sensitive_data;
mod sessions;
mod settings_in_browser;
mod shutdown;
mod sign_in_limits;
mod sign_in_memory;
mod signature_check;
mod slow_first_address;
mod startup_checks;
mod storage_errors;
mod subscriptions;
mod support;
mod test_events;
mod tls_messages;
mod token_pages;
mod webhook_pages;
mod widget_in_browser;
mod widget_on_hostile_pages;
mod widget_origins;
mod widget_script;
