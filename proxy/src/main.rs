//! The program: everything is in the library.

/// Also of what is written in C: TLS and SQLite. How long it keeps what is free is set in `.cargo/config.toml`.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> std::process::ExitCode {
    usher::main()
}
