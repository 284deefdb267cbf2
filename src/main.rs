//! The executable: what it does stands in the library, so that tests can reach it.

fn main() {
    std::process::exit(miniback::cli::run());
}
