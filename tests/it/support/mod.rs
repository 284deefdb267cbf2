//! What the tests stand on: the real executable in a directory of its own, endpoints that behave as a test wants,
//! clients for the API and for the pages, and a browser.
//!
//! Nothing here knows the program's code: the tests look at Miniback as its users do.

pub mod api;
pub mod app;
pub mod browser;
pub mod command;
pub mod event_stream;
pub mod example_receiver;
pub mod forms;
pub mod http;
pub mod in_process;
pub mod load_generator;
pub mod pages;
pub mod proxy;
pub mod receiver;
pub mod signature;
pub mod wait;
pub mod webdriver;
