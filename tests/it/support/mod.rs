//! The test harness. It runs the real executable in its own directory, and provides scripted
//! endpoints, clients for the API and the pages, and a browser.
//!
//! Tests with `in_process` run the server in the test's process. Some tests read the program's
//! route tables, and `fuzz_corpus` calls the program's parsers. Most other tests see Miniback as
//! its users do.

pub mod api;
pub mod app;
pub mod browser;
pub mod chat_services;
pub mod clock_jump;
pub mod command;
pub mod event_stream;
pub mod example_receiver;
pub mod forms;
pub mod http;
pub mod in_process;
pub mod load_generator;
pub mod log;
pub mod lost_events;
pub mod mail_receiver;
pub mod notify_socket;
pub mod pages;
pub mod power_cut_fs;
pub mod proxy;
pub mod raw_http;
pub mod receiver;
pub mod scrape;
pub mod signature;
pub mod source_files;
pub mod tls_endpoint;
pub mod unresponsive;
pub mod wait;
pub mod webdriver;
