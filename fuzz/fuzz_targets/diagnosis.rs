//! The libFuzzer entry point of the target `diagnosis`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    miniback_fuzz::run("diagnosis", data);
});
