//! How long files and functions are.

use crate::modules::House;
use syn::spanned::Spanned;
use syn::visit::{self, Visit};

/// Most lines of a file.
const FILE: usize = 400;
/// Most lines of a function.
const FUNCTION: usize = 80;

/// A fault for everything that is too long.
pub(crate) fn too_long(house: &House) -> Vec<String> {
    let mut faults = Vec::new();
    for file in &house.files {
        let lines = file.text.lines().count();
        if lines > FILE {
            faults.push(format!("{}: {lines} lines, at most {FILE}", file.path.display()));
        }
    }
    for module in &house.modules {
        let mut functions = Functions(Vec::new());
        module.items.iter().for_each(|item| functions.visit_item(item));
        for (name, lines) in functions.0.into_iter().filter(|(_, lines)| *lines > FUNCTION) {
            let path = house.files[module.file].path.display();
            faults.push(format!("{path}: {name} has {lines} lines, at most {FUNCTION}"));
        }
    }
    faults
}

/// Median, 90th percentile and largest, of the files of usher itself.
pub(crate) fn summary(house: &House) -> String {
    let own = house.files.iter().filter(|file| !matches!(file.of, "tests" | "benches"));
    let mut lines: Vec<usize> = own.map(|file| file.text.lines().count()).collect();
    lines.sort_unstable();
    let at = |part: usize| lines.get(lines.len() * part / 100).or(lines.last()).copied().unwrap_or(0);
    format!("lines of a file: median {}, 90th percentile {}, most {}", at(50), at(90), at(100))
}

struct Functions(Vec<(String, usize)>);

impl Functions {
    fn note(&mut self, name: &syn::Ident, whole: &impl Spanned) {
        let span = whole.span();
        self.0.push((name.to_string(), span.end().line + 1 - span.start().line));
    }
}

impl<'ast> Visit<'ast> for Functions {
    fn visit_item_fn(&mut self, function: &'ast syn::ItemFn) {
        self.note(&function.sig.ident, function);
        visit::visit_item_fn(self, function);
    }

    fn visit_impl_item_fn(&mut self, function: &'ast syn::ImplItemFn) {
        self.note(&function.sig.ident, function);
        visit::visit_impl_item_fn(self, function);
    }
}
