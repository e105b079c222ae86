//! A mail login, whatever protocol it uses: who is meant, where their archive is, and the host's answer; waiting for a
//! host that is out of service, and refusing. Independent of any protocol.

mod attempt;
mod attend;
mod credential;
mod guarded;
mod handover;
mod prelogin;
mod seek;
mod server;
mod token;
mod tried;
mod whys;

pub(crate) use attend::Inbox;
pub(crate) use handover::{Handover, LoggedIn, hand_over};
pub(crate) use prelogin::PreLogin;
pub(crate) use server::Server;
pub(crate) use token::complete;
pub(crate) use tried::Refusal;
pub(crate) use whys::Whys;
