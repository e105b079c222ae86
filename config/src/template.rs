//! The file that `usher init` writes.

/// A commented configuration. [`crate::load`] accepts it as it is.
pub const TEMPLATE: &str = include_str!("template.toml");

#[cfg(test)]
mod tests {
    #[test]
    fn is_accepted() {
        let snapshot = crate::load(super::TEMPLATE).unwrap();
        assert_eq!(snapshot.listeners.len(), 2);
    }
}
