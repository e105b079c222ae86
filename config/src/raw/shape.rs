//! What may be written in the file, as its own reader asks for it.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

/// A kind of value, as it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// Any string.
    Text,
    /// One of these.
    Words(Vec<String>),
    /// true or false.
    Boolean,
    /// A whole number from this one on.
    Number(u32),
    /// A string that matches this regular expression.
    Pattern(&'static str),
    /// A list of single values.
    List,
    /// A table whose keys are the operator's.
    Names,
    /// A table.
    Table(Shape),
    /// A list of tables.
    Tables(Shape),
}

/// A table: its keys, and what each may be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Shape(pub BTreeMap<&'static str, Vec<Kind>>);

/// The shape of a table while its reader is followed, which may happen several times.
#[derive(Clone, Default)]
pub(crate) struct Trace(Rc<RefCell<Traced>>);

#[derive(Default)]
struct Traced {
    plain: BTreeMap<&'static str, Vec<Kind>>,
    tables: BTreeMap<&'static str, Trace>,
    lists: BTreeMap<&'static str, Trace>,
    has_names: bool,
}

impl Trace {
    /// The reader asks for a single value or a list.
    pub(super) fn note(&self, key: &'static str, kind: Kind) {
        let mut traced = self.0.borrow_mut();
        let kinds = traced.plain.entry(key).or_default();
        // Before a word is read, it is a string that must be there.
        let is_word = kind == Kind::Text && kinds.iter().any(|kind| matches!(kind, Kind::Words(_)));
        if !is_word && !kinds.contains(&kind) {
            kinds.push(kind);
        }
    }

    /// The reader asks for a string, which turns out to be one of `words`.
    pub(super) fn narrow(&self, key: &'static str, words: Vec<String>) {
        let mut traced = self.0.borrow_mut();
        let kinds = traced.plain.entry(key).or_default();
        kinds.retain(|kind| *kind != Kind::Text);
        if !kinds.contains(&Kind::Words(words.clone())) {
            kinds.push(Kind::Words(words));
        }
    }

    /// The reader asks for a table.
    pub(super) fn table(&self, key: &'static str) -> Self {
        self.0.borrow_mut().tables.entry(key).or_default().clone()
    }

    /// The reader asks for a list of tables.
    pub(super) fn tables(&self, key: &'static str) -> Self {
        self.0.borrow_mut().lists.entry(key).or_default().clone()
    }

    /// The reader asks for whatever keys there are.
    pub(super) fn names(&self) {
        self.0.borrow_mut().has_names = true;
    }

    /// What it has asked for.
    pub(crate) fn shape(&self) -> Shape {
        let traced = self.0.borrow();
        let mut shape = traced.plain.clone();
        for (key, inner) in &traced.tables {
            let has_names = inner.0.borrow().has_names;
            shape.entry(key).or_default().push(if has_names {
                Kind::Names
            } else {
                Kind::Table(inner.shape())
            });
        }
        for (key, inner) in &traced.lists {
            shape.entry(key).or_default().push(Kind::Tables(inner.shape()));
        }
        Shape(shape)
    }
}
