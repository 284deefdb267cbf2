//! The libFuzzer entry point of the target `response_head`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    miniback_fuzz::run("response_head", data);
});
