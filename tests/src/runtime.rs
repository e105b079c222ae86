//! One runtime a test process, for archives that run beside blocking tests.

use crate::archive::{Archive, Options};
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use tokio::runtime::Runtime;

pub fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| {
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
    })
}

/// Starts an archive.
pub fn archive(options: Options, address: SocketAddr) -> Arc<Archive> {
    runtime().block_on(Archive::start(options, address)).expect("the archive listens")
}
