//! A mail login, whatever protocol it comes by: who is meant, where their archive is, the host's word on it; waiting for a
//! host that is out, and refusing. Knows no protocol's words.

mod attempt;
mod attend;
mod credential;
mod handover;
mod prelogin;
mod seek;
mod server;
mod tried;

pub(crate) use attend::Inbox;
pub(crate) use handover::{Handover, LoggedIn, hand_over};
pub(crate) use prelogin::PreLogin;
pub(crate) use server::Server;
