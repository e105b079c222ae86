//! Who may come in: asks the operator's rules, for everybody who logs in, sends a request or is here already.

mod hearing;
mod visit;

pub(crate) use hearing::{Access, Hearing};
pub(crate) use visit::Visit;
