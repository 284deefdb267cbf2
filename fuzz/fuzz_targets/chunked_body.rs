//! The libFuzzer entry point of the target `chunked_body`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    miniback_fuzz::run("chunked_body", data);
});
