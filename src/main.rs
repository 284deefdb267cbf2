//! The executable. The logic is in the library, so tests can use it.

/// An allocator that returns freed memory to the system within seconds, for example after a burst
/// of requests. The system's allocator often keeps freed memory.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() {
    std::process::exit(miniback::cli::run());
}
