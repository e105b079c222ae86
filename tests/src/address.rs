//! An address of 127.0.0.0/8 for each test, so that servers which want fixed ports run side by side.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicU8, Ordering};

/// An address that no other test of this machine has, as long as fewer than 250 are asked for in a process.
pub fn own() -> IpAddr {
    static NEXT: AtomicU8 = AtomicU8::new(2);
    let process = std::process::id();
    let host = NEXT.fetch_add(1, Ordering::Relaxed);
    assert!((2..=250).contains(&host), "a test process has 249 addresses");
    // 127.0.x.y stays free for what runs on the machine anyway.
    IpAddr::V4(Ipv4Addr::new(127, 1 + (process >> 8 & 0x7f) as u8, (process & 0xff) as u8, host))
}
