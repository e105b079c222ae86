//! IMAP (RFC 9051, RFC 3501) as far as a door needs it: all of it before login on both legs, and after
//! login only the framing.

pub mod capability;
pub mod command;
pub mod id;
pub mod literal;
pub mod login;
pub mod preauth;
pub mod reply;
pub mod sasl;
pub mod tracker;

mod args;
