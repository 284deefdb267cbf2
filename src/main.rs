//! The executable. The logic is in the library, so tests can use it.

/// Returns freed memory to the system within seconds, even if a burst of requests used it. The
/// system's allocator often keeps it.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() {
    std::process::exit(miniback::cli::run());
}
