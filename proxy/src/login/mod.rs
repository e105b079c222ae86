//! A mail login, whatever protocol it uses: who is meant, where their archive is, and the host's answer; waiting for a
//! host that is out of service, and refusing. Independent of any protocol.

mod attempt;
mod attend;
mod case;
mod conversations;
mod credential;
mod guarded;
mod handover;
mod inbox;
mod prelogin;
mod scram;
mod seek;
mod server;
mod shapes;
mod token;
mod tried;
mod visitor;
mod voice;
mod whys;

pub(crate) use conversations::Conversations;
pub(crate) use handover::{Handover, LoggedIn, hand_over};
pub(crate) use inbox::Inbox;
pub(crate) use prelogin::PreLogin;
pub(crate) use server::Server;
pub(crate) use token::complete;
pub(crate) use tried::Refusal;
pub(crate) use whys::Whys;
