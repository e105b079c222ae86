//! What all versions of HTTP share: authorities, and the one normal form of paths.

pub mod authority;
pub mod field;
pub mod path;
