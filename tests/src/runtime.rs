//! One runtime a test process, for archives that run beside blocking tests.

use crate::archive::{Archive, Options};
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use tokio::runtime::Runtime;

pub fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| with(1))
}

/// One with so many threads.
pub fn with(threads: usize) -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build().unwrap()
}

/// Starts an archive.
pub fn archive(options: Options, address: SocketAddr) -> Arc<Archive> {
    runtime().block_on(Archive::start(options, address)).expect("the archive listens")
}
