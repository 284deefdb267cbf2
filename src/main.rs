//! The executable. The logic is in the library, so tests can use it.

fn main() {
    std::process::exit(miniback::cli::run());
}
