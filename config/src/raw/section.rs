//! Reads the keys of one table, collects faults and finally reports unknown keys.

use super::shape::{Kind, Trace};
use super::value::{FromValue, Located};
use crate::fault::Fault;
use std::ops::Range;
use std::sync::LazyLock;
use toml::de::{DeTable, DeValue};

/// Faults gathered so far.
pub(crate) type Faults = Vec<Fault>;

/// One table of the file while its keys are read.
pub(crate) struct Section<'t> {
    name: String,
    table: &'t DeTable<'t>,
    pub(crate) span: Range<usize>,
    known: Vec<&'static str>,
    /// Where what is asked for is noted, if anybody wants to know it.
    trace: Option<Trace>,
}

/// What is read where a table is missing and somebody wants to know what could be in it.
static NOTHING: LazyLock<DeTable<'static>> = LazyLock::new(DeTable::new);

/// One element of a TOML array, of any type.
pub(crate) struct Item<'t> {
    value: &'t DeValue<'t>,
    pub(crate) span: Range<usize>,
}

impl<'t> Section<'t> {
    /// The table called `name` in messages.
    pub(crate) fn new(name: impl Into<String>, table: &'t DeTable<'t>, span: Range<usize>) -> Self {
        Self { name: name.into(), table, span, known: Vec::new(), trace: None }
    }

    /// The same, whose reader is followed.
    pub(crate) fn traced(table: &'t DeTable<'t>, trace: Trace) -> Self {
        Self { trace: Some(trace), ..Self::new("the file", table, 0..0) }
    }

    /// A table in it.
    fn inner(
        name: impl Into<String>,
        table: &'t DeTable<'t>,
        span: Range<usize>,
        trace: Option<Trace>,
    ) -> Self {
        Self { trace, ..Self::new(name, table, span) }
    }

    /// A value that may be missing.
    pub(crate) fn optional<T: FromValue>(
        &mut self,
        key: &'static str,
        faults: &mut Faults,
    ) -> Option<Located<T>> {
        if let Some(trace) = &self.trace {
            trace.note(key, T::kind());
        }
        let (value, span) = self.get(key)?;
        match T::from_value(value) {
            Some(value) => Some(Located { value, span }),
            None => {
                let what = format!("`{key}` in {} has an invalid value", self.name);
                faults.push(Fault::new(span, what, T::EXPECTED));
                None
            }
        }
    }

    /// A value that must be there.
    pub(crate) fn required<T: FromValue>(
        &mut self,
        key: &'static str,
        example: &str,
        faults: &mut Faults,
    ) -> Option<Located<T>> {
        self.demand(key, example, faults);
        self.optional(key, faults)
    }

    /// Reports that `key` is missing, if it is.
    pub(crate) fn demand(&mut self, key: &'static str, example: &str, faults: &mut Faults) {
        if self.get(key).is_none() {
            let what = format!("{} has no `{key}`", self.name);
            faults.push(Fault::new(self.span.clone(), what, format!("add `{key} = {example}`")));
        }
    }

    /// A value that must be one of `words`.
    pub(crate) fn word<T: Copy>(
        &mut self,
        key: &'static str,
        words: &[(&str, T)],
        faults: &mut Faults,
    ) -> Option<T> {
        let written: Option<Located<String>> = self.optional(key, faults);
        if let Some(trace) = &self.trace {
            trace.narrow(key, words.iter().map(|(word, _)| (*word).to_owned()).collect());
        }
        let written = written?;
        let found = words.iter().find(|(word, _)| *word == written.value).map(|(_, value)| *value);
        if found.is_none() {
            let list: Vec<_> = words.iter().map(|(word, _)| format!("\"{word}\"")).collect();
            let what = format!("`{key}` in {} cannot be \"{}\"", self.name, written.value.escape_debug());
            faults.push(written.fault(what, format!("write one of {}", list.join(", "))));
        }
        found
    }

    /// The elements of a list; empty if the key is missing.
    pub(crate) fn list(&mut self, key: &'static str, faults: &mut Faults) -> Vec<Item<'t>> {
        if let Some(trace) = &self.trace {
            trace.note(key, Kind::List);
        }
        match self.get(key) {
            None => Vec::new(),
            Some((DeValue::Array(items), _)) => {
                items.iter().map(|item| Item { value: item.get_ref(), span: item.span() }).collect()
            }
            Some((_, span)) => {
                let what = format!("`{key}` in {} is not a list", self.name);
                faults.push(Fault::new(span, what, format!("write `{key} = [\"…\"]`")));
                Vec::new()
            }
        }
    }

    /// The elements of a list that may be missing, but not empty.
    pub(crate) fn given_list(&mut self, key: &'static str, faults: &mut Faults) -> Option<Vec<Item<'t>>> {
        let items = self.list(key, faults);
        let span = self.get(key)?.1;
        if items.is_empty() && self.is_list(key) {
            faults.push(Fault::new(
                span,
                format!("`{key}` in {} is empty, which could mean all or none", self.name),
                format!("name at least one, or remove `{key}`"),
            ));
        }
        Some(items)
    }

    /// The lists of a table whose keys are names of the operator's.
    pub(crate) fn lists(&self, faults: &mut Faults) -> Vec<(&'t str, Vec<Item<'t>>)> {
        if let Some(trace) = &self.trace {
            trace.names();
        }
        let mut lists = Vec::new();
        for (key, value) in self.table {
            let items = match value.get_ref() {
                DeValue::Array(items) if !items.is_empty() => {
                    items.iter().map(|item| Item { value: item.get_ref(), span: item.span() }).collect()
                }
                _ => {
                    let what = format!(
                        "`{}` of {} is not a list of values",
                        key.get_ref().escape_debug(),
                        self.name
                    );
                    faults.push(Fault::new(value.span(), what, "write a list such as [\"sales*\"]"));
                    continue;
                }
            };
            lists.push((key.get_ref().as_ref(), items));
        }
        lists
    }

    /// Whether `key` is this text.
    pub(crate) fn says(&self, key: &str, text: &str) -> bool {
        matches!(self.table.get(key).map(|value| value.get_ref()), Some(DeValue::String(said)) if said == text)
    }

    /// Whether a value is a list.
    pub(crate) fn is_list(&mut self, key: &'static str) -> bool {
        matches!(self.get(key), Some((DeValue::Array(_), _)))
    }

    /// An inner table that must be there.
    pub(crate) fn required_table(
        &mut self,
        key: &'static str,
        example: &str,
        faults: &mut Faults,
    ) -> Option<Section<'t>> {
        self.demand(key, example, faults);
        self.table(key, example, faults)
    }

    /// An inner table.
    pub(crate) fn table(
        &mut self,
        key: &'static str,
        example: &str,
        faults: &mut Faults,
    ) -> Option<Section<'t>> {
        let name = format!("`{key}` of {}", self.name);
        let trace = self.trace.as_ref().map(|trace| trace.table(key));
        match self.get(key) {
            None => trace.map(|trace| Self::inner(name, &NOTHING, 0..0, Some(trace))),
            Some((DeValue::Table(table), span)) => Some(Self::inner(name, table, span, trace)),
            Some((_, span)) => {
                let what = format!("`{key}` in {} is not a table", self.name);
                faults.push(Fault::new(span, what, format!("write `{key} = {example}`")));
                None
            }
        }
    }

    /// A section that may appear only once, `[key]`.
    pub(crate) fn single(&mut self, key: &'static str, faults: &mut Faults) -> Option<Section<'t>> {
        let name = format!("[{key}]");
        let trace = self.trace.as_ref().map(|trace| trace.table(key));
        match self.get(key) {
            None => trace.map(|trace| Self::inner(name, &NOTHING, 0..0, Some(trace))),
            Some((DeValue::Table(table), span)) => Some(Self::inner(name, table, span, trace)),
            Some((_, span)) => {
                faults.push(Fault::new(
                    span,
                    format!("[{key}] may appear only once"),
                    format!("write `[{key}]`"),
                ));
                None
            }
        }
    }

    /// A section that may appear several times, `[[key]]`.
    pub(crate) fn many(&mut self, key: &'static str, faults: &mut Faults) -> Vec<Section<'t>> {
        self.tables(key, &format!("[[{key}]]"), faults)
    }

    /// A list of tables, each called `shown` in messages.
    pub(crate) fn tables(&mut self, key: &'static str, shown: &str, faults: &mut Faults) -> Vec<Section<'t>> {
        let wrong = |span| {
            let instead = format!("write `[[{key}]]`, in double brackets, or `{key} = [ {{ … }} ]`");
            Fault::new(span, format!("`{key}` is a list of tables"), instead)
        };
        let trace = self.trace.as_ref().map(|trace| trace.tables(key));
        match self.get(key) {
            None => trace.into_iter().map(|trace| Self::inner(shown, &NOTHING, 0..0, Some(trace))).collect(),
            Some((DeValue::Array(items), _)) => items
                .iter()
                .filter_map(|item| match item.get_ref() {
                    DeValue::Table(table) => Some(Self::inner(shown, table, item.span(), trace.clone())),
                    _ => {
                        faults.push(wrong(item.span()));
                        None
                    }
                })
                .collect(),
            Some((_, span)) => {
                faults.push(wrong(span));
                Vec::new()
            }
        }
    }

    /// Reports the keys that nobody has asked for.
    pub(crate) fn finish(self, faults: &mut Faults) {
        for key in self.table.keys() {
            let written = key.get_ref();
            if self.known.iter().any(|known| known == written) {
                continue;
            }
            let nearest = self.known.iter().max_by(|a, b| {
                let similar = |known: &str| strsim::jaro_winkler(known, written);
                similar(a).total_cmp(&similar(b))
            });
            let instead = match nearest {
                Some(near) if strsim::jaro_winkler(near, written) > 0.85 => {
                    format!("did you mean `{near}`?")
                }
                _ => format!("known keys: {}", self.known.join(", ")),
            };
            let what = format!("unknown key `{}` in {}", written.escape_debug(), self.name);
            faults.push(Fault::new(key.span(), what, instead));
        }
    }

    fn get(&mut self, key: &'static str) -> Option<(&'t DeValue<'t>, Range<usize>)> {
        if !self.known.contains(&key) {
            self.known.push(key);
        }
        self.table.get(key).map(|value| (value.get_ref(), value.span()))
    }
}

impl Item<'_> {
    /// The element as a string.
    pub(crate) fn text(&self, faults: &mut Faults) -> Option<Located<String>> {
        self.read("not a string", faults)
    }

    /// It as a whole number.
    pub(crate) fn number(&self, faults: &mut Faults) -> Option<Located<u32>> {
        self.read("not a number", faults)
    }

    fn read<T: FromValue>(&self, what: &str, faults: &mut Faults) -> Option<Located<T>> {
        match T::from_value(self.value) {
            Some(value) => Some(Located { value, span: self.span.clone() }),
            None => {
                faults.push(Fault::new(self.span.clone(), what, T::EXPECTED));
                None
            }
        }
    }
}
