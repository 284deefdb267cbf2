//! The libFuzzer entry point of the target `egress_policy`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    miniback_fuzz::run("egress_policy", data);
});
