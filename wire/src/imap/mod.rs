//! IMAP (RFC 9051, RFC 3501) as far as a front door needs it: all of it before login, on both sides, and only the
//! framing after login.

pub mod capability;
pub mod command;
pub mod id;
pub mod literal;
pub mod login;
mod oauth;
pub mod preauth;
pub mod referral;
pub mod reply;
pub mod sasl;
pub mod scram;
pub mod tracker;

mod args;
