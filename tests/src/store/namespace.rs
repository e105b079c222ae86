//! A network of a server's own, behind a cable that can be pulled.

use std::net::{IpAddr, Ipv4Addr};
use std::process::{Command, Stdio};

/// It, removed when this is dropped.
pub struct Namespace {
    name: String,
    device: String,
    /// The address in it.
    pub inside: IpAddr,
}

impl Namespace {
    /// One for this process; `None` where nobody is allowed to make one.
    pub fn new() -> Option<Self> {
        let process = std::process::id();
        // Of a network for benchmarks (RFC 2544), four addresses for each process.
        let [.., third, fourth] = (process << 2).to_be_bytes();
        let [outside, inside] = [1, 2].map(|host| Ipv4Addr::new(198, 18, third, fourth | host));
        let (name, device) = (format!("usher-{process}"), format!("u{process}"));
        let made = Self { name, device, inside: inside.into() };
        let Self { name, device, .. } = &made;
        let is_made = ip(&format!("netns add {name}"))
            && ip(&format!("link add {device} type veth peer name there netns {name}"))
            && ip(&format!("addr add {outside}/30 dev {device}"))
            && ip(&format!("link set {device} up"))
            && ip(&format!("-n {name} addr add {inside}/30 dev there"))
            && ip(&format!("-n {name} link set lo up"));
        (is_made && made.plug_in()).then_some(made)
    }

    /// Pulls the cable at the far end: nothing comes through, and nobody is told.
    pub fn pull(&self) {
        assert!(ip(&format!("-n {} link set there down", self.name)));
    }

    /// Puts it back. Returns whether it could be.
    pub fn plug_in(&self) -> bool {
        ip(&format!("-n {} link set there up", self.name))
    }

    /// The same command, to be run there.
    pub(super) fn run_by(&self, command: &Command) -> Command {
        let mut there = Command::new("ip");
        there.args(["netns", "exec", &self.name]).arg(command.get_program()).args(command.get_args());
        command.get_current_dir().map(|dir| there.current_dir(dir));
        there.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        there
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        ip(&format!("link del {}", self.device));
        ip(&format!("netns del {}", self.name));
    }
}

fn ip(words: &str) -> bool {
    let mut command = Command::new("ip");
    command.args(words.split(' ')).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}
