//! The program: everything is in the library.

/// Also used by the C code: TLS and SQLite. How long it keeps freed memory is set in `.cargo/config.toml`.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> std::process::ExitCode {
    usher::main()
}
