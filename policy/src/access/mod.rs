//! Who may log in, from where, when and how: the operator's access rules. Facts in, allowed or denied out.
//!
//! The rules are ordered, and the first that matches decides; if none does, the login is allowed. Within a rule, values
//! are alternatives, conditions must all hold, and any exception that holds makes the next rule decide.

mod conditions;
mod country;
mod digested;
mod facts;
mod index;
mod pattern;
mod ranges;
mod rule;
mod rules;
#[cfg(test)]
mod tests;
mod verdict;
mod window;
mod written;

pub use conditions::{Conditions, MECHANISMS};
pub use country::Country;
pub use facts::{Attributes, Facts, Name};
pub use pattern::Pattern;
pub use ranges::{AddressRange, PortRange};
pub use rule::{Action, Rule};
pub use rules::Rules;
pub use verdict::Verdict;
pub use window::Window;
