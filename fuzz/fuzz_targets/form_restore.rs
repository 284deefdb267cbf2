//! The libFuzzer entry point of the target `form_restore`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    miniback_fuzz::run("form_restore", data);
});
