//! The libFuzzer entry point of the target `pasted_request`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    miniback_fuzz::run("pasted_request", data);
});
