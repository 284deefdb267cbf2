//! The libFuzzer entry point of the target `json_body`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    miniback_fuzz::run("json_body", data);
});
