//! The libFuzzer entry point of the target `email`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    miniback_fuzz::run("email", data);
});
