//! The libFuzzer entry point of the target `form_data`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    miniback_fuzz::run("form_data", data);
});
