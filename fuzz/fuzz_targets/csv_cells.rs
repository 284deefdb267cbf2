//! The libFuzzer entry point of the target `csv_cells`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    miniback_fuzz::run("csv_cells", data);
});
