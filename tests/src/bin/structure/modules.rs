//! Files and the modules in them, with the names that each module knows.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use syn::{Attribute, Item, UseTree, Visibility};

/// Index of a module.
pub(crate) type ModuleId = usize;
/// Index of a file.
pub(crate) type FileId = usize;

/// All crates.
#[derive(Default)]
pub(crate) struct House {
    pub(crate) files: Vec<SourceFile>,
    pub(crate) modules: Vec<Module>,
    /// The roots of the crates, by the names that others call them by.
    roots: HashMap<String, ModuleId>,
}

/// One file.
pub(crate) struct SourceFile {
    pub(crate) path: PathBuf,
    /// The crate that it belongs to.
    pub(crate) of: &'static str,
    pub(crate) text: String,
}

/// A module, in a file of its own or within one.
pub(crate) struct Module {
    pub(crate) file: FileId,
    pub(crate) items: Vec<Item>,
    parent: Option<ModuleId>,
    root: ModuleId,
    names: HashMap<String, Name>,
    globs: Vec<Vec<String>>,
}

/// What a name in a module stands for.
enum Name {
    /// Something that is defined there.
    Here,
    Child(ModuleId),
    /// Something from elsewhere.
    Imported(Vec<String>),
}

/// Where a path leads.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Target {
    Module(ModuleId),
    Item(FileId),
}

impl House {
    /// Reads the sources of these crates, which are folders of `base`.
    pub(crate) fn read(base: &Path, crates: &[&'static str]) -> Result<Self, String> {
        let mut house = Self::default();
        for &of in crates {
            let src = base.join(of).join("src");
            for (file, name) in [("lib.rs", true), ("main.rs", false)] {
                let path = src.join(file);
                if path.exists() {
                    let root = house.file(of, &path, &src, None)?;
                    if name {
                        house.roots.insert(library_name(of), root);
                    }
                }
            }
        }
        Ok(house)
    }

    fn file(
        &mut self,
        of: &'static str,
        path: &Path,
        dir: &Path,
        parent: Option<ModuleId>,
    ) -> Result<ModuleId, String> {
        let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
        let parsed = syn::parse_file(&text).map_err(|error| format!("{}: {error}", path.display()))?;
        self.files.push(SourceFile { path: path.to_owned(), of, text });
        self.module(self.files.len() - 1, parsed.items, dir, parent)
    }

    fn module(
        &mut self,
        file: FileId,
        items: Vec<Item>,
        dir: &Path,
        parent: Option<ModuleId>,
    ) -> Result<ModuleId, String> {
        let id = self.modules.len();
        let root = parent.map_or(id, |parent| self.modules[parent].root);
        self.modules.push(Module {
            file,
            items: Vec::new(),
            parent,
            root,
            names: HashMap::new(),
            globs: Vec::new(),
        });
        let mut own = Vec::new();
        for item in items {
            if is_for_tests(attributes(&item)) {
                continue;
            }
            match item {
                Item::Mod(module) => {
                    let name = module.ident.to_string();
                    let dir = dir.join(&name);
                    let child = match module.content {
                        Some((_, items)) => self.module(file, items, &dir, Some(id))?,
                        None => {
                            let of = self.files[file].of;
                            let beside = dir.with_extension("rs");
                            let path = if beside.exists() { beside } else { dir.join("mod.rs") };
                            self.file(of, &path, &dir, Some(id))?
                        }
                    };
                    self.modules[id].names.insert(name, Name::Child(child));
                }
                item => {
                    self.note(id, &item);
                    own.push(item);
                }
            }
        }
        self.modules[id].items = own;
        Ok(id)
    }

    /// Notes the names that an item brings into its module.
    fn note(&mut self, id: ModuleId, item: &Item) {
        let module = &mut self.modules[id];
        if let Item::Use(item) = item {
            for (name, path) in flat(&item.tree) {
                match name {
                    Some(name) => drop(module.names.insert(name, Name::Imported(path))),
                    None => module.globs.push(path),
                }
            }
        } else if let Some(name) = defined(item) {
            module.names.insert(name, Name::Here);
        }
    }

    /// Whether `plate` is the file of the room, or of a room around it, that `file` is in.
    pub(crate) fn is_of_room(&self, file: FileId, plate: FileId) -> bool {
        let plate = &self.files[plate].path;
        let is_plate = plate.file_stem().is_some_and(|stem| stem == "mod" || stem == "lib" || stem == "main");
        is_plate && plate.parent().is_some_and(|room| self.files[file].path.starts_with(room))
    }

    /// Where `path`, as it is written in the module `at`, leads; `None`: out of the house.
    pub(crate) fn resolve(&self, at: ModuleId, path: &[String]) -> Option<Target> {
        self.resolve_within(at, path, 16)
    }

    fn resolve_within(&self, at: ModuleId, path: &[String], depth: u32) -> Option<Target> {
        let (first, rest) = path.split_first()?;
        let depth = depth.checked_sub(1)?;
        let mut target = match first.as_str() {
            "crate" => Target::Module(self.modules[at].root),
            "self" => Target::Module(at),
            "super" => Target::Module(self.modules[at].parent?),
            name => match self.roots.get(name) {
                Some(root) => Target::Module(*root),
                None => self.look_up(at, name, depth)?,
            },
        };
        for name in rest {
            match target {
                Target::Item(_) => break,
                Target::Module(module) if name == "super" => {
                    target = Target::Module(self.modules[module].parent?);
                }
                Target::Module(module) => target = self.look_up(module, name, depth)?,
            }
        }
        Some(target)
    }

    fn look_up(&self, at: ModuleId, name: &str, depth: u32) -> Option<Target> {
        let module = &self.modules[at];
        match module.names.get(name) {
            Some(Name::Here) => Some(Target::Item(module.file)),
            Some(Name::Child(child)) => Some(Target::Module(*child)),
            Some(Name::Imported(path)) => self.resolve_within(at, path, depth),
            None => module.globs.iter().find_map(|glob| match self.resolve_within(at, glob, depth)? {
                Target::Module(module) => self.look_up(module, name, depth.checked_sub(1)?),
                Target::Item(_) => None,
            }),
        }
    }
}

/// What other crates call the library in the folder `of`.
fn library_name(of: &str) -> String {
    match of {
        "proxy" => "usher".to_owned(),
        of => format!("usher_{of}"),
    }
}

/// The names that a `use` brings, with the paths that they stand for; `None`: all names of that path.
pub(crate) fn flat(tree: &UseTree) -> Vec<(Option<String>, Vec<String>)> {
    match tree {
        UseTree::Path(path) => {
            let inner = flat(&path.tree);
            let prefixed = |(name, mut rest): (Option<String>, Vec<String>)| {
                rest.insert(0, path.ident.to_string());
                // `use a::{self}` brings `a`.
                let is_self = name.as_deref() == Some("self");
                if is_self {
                    rest.pop();
                }
                (if is_self { rest.last().cloned() } else { name }, rest)
            };
            inner.into_iter().map(prefixed).collect()
        }
        UseTree::Name(name) => vec![(Some(name.ident.to_string()), vec![name.ident.to_string()])],
        UseTree::Rename(rename) => {
            vec![(Some(rename.rename.to_string()), vec![rename.ident.to_string()])]
        }
        UseTree::Glob(_) => vec![(None, Vec::new())],
        UseTree::Group(group) => group.items.iter().flat_map(flat).collect(),
    }
}

/// Whether something is there for its own tests alone.
pub(crate) fn is_for_tests(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && attribute.parse_args::<syn::Path>().is_ok_and(|word| word.is_ident("test"))
    })
}

/// Whether a `use` hands on what it names.
pub(crate) fn hands_on(visibility: &Visibility) -> bool {
    !matches!(visibility, Visibility::Inherited)
}

fn defined(item: &Item) -> Option<String> {
    let ident = match item {
        Item::Const(item) => &item.ident,
        Item::Enum(item) => &item.ident,
        Item::Fn(item) => &item.sig.ident,
        Item::Macro(item) => item.ident.as_ref()?,
        Item::Static(item) => &item.ident,
        Item::Struct(item) => &item.ident,
        Item::Trait(item) => &item.ident,
        Item::Type(item) => &item.ident,
        Item::Union(item) => &item.ident,
        _ => return None,
    };
    Some(ident.to_string())
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}
