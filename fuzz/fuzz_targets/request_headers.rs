//! The libFuzzer entry point of the target `request_headers`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    miniback_fuzz::run("request_headers", data);
});
