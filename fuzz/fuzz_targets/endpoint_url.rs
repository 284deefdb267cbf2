//! The libFuzzer entry point of the target `endpoint_url`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    miniback_fuzz::run("endpoint_url", data);
});
