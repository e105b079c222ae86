//! Who names whom.

use crate::modules::{FileId, House, ModuleId, Target, flat, hands_on, is_for_tests};
use proc_macro2::{TokenStream, TokenTree};
use std::collections::BTreeMap;
use syn::visit::{self, Visit};

/// From one file to another, with a name that is the reason.
pub(crate) type Arrows = BTreeMap<(FileId, FileId), String>;

/// All arrows between files.
pub(crate) fn between_files(house: &House) -> Arrows {
    let mut arrows = Arrows::new();
    for (id, module) in house.modules.iter().enumerate() {
        let mut reader = Reader { house, at: id, arrows: &mut arrows };
        module.items.iter().for_each(|item| reader.visit_item(item));
    }
    arrows
}

struct Reader<'h> {
    house: &'h House,
    at: ModuleId,
    arrows: &'h mut Arrows,
}

impl Reader<'_> {
    fn note(&mut self, path: &[String]) {
        let from = self.house.modules[self.at].file;
        if let Some(Target::Item(to)) = self.house.resolve(self.at, path)
            && to != from
            && !self.house.is_of_room(from, to)
        {
            self.arrows.entry((from, to)).or_insert_with(|| path.join("::"));
        }
    }

    /// Paths in what a macro is given, which is no more than words.
    fn words(&mut self, tokens: TokenStream) {
        let mut path: Vec<String> = Vec::new();
        let mut colons = 0;
        for token in tokens {
            match token {
                TokenTree::Ident(ident) => {
                    if colons != 2 {
                        self.note(&std::mem::take(&mut path));
                        path.clear();
                    }
                    path.push(ident.to_string());
                    colons = 0;
                }
                TokenTree::Punct(punct) if punct.as_char() == ':' => colons += 1,
                TokenTree::Group(group) => {
                    self.note(&std::mem::take(&mut path));
                    self.words(group.stream());
                }
                TokenTree::Punct(_) | TokenTree::Literal(_) => {
                    self.note(&std::mem::take(&mut path));
                    colons = 0;
                }
            }
        }
        self.note(&path);
    }
}

impl<'ast> Visit<'ast> for Reader<'_> {
    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        if hands_on(&item.vis) {
            return;
        }
        for (_, path) in flat(&item.tree) {
            self.note(&path);
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let path_of: Vec<String> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        self.note(&path_of);
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, called: &'ast syn::Macro) {
        self.words(called.tokens.clone());
        visit::visit_macro(self, called);
    }

    fn visit_impl_item_fn(&mut self, function: &'ast syn::ImplItemFn) {
        if !is_for_tests(&function.attrs) {
            visit::visit_impl_item_fn(self, function);
        }
    }
}
