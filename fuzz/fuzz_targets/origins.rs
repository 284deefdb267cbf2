//! The libFuzzer entry point of the target `origins`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    miniback_fuzz::run("origins", data);
});
