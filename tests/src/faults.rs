//! Faults of the system, made by a small library that is loaded into usher.

use std::path::{Path, PathBuf};
use std::process::Command;

/// A disk that can be full and a clock that can be wrong.
pub struct Faults {
    dir: PathBuf,
    library: PathBuf,
}

impl Faults {
    /// Builds the library in `dir`.
    pub fn new(dir: &Path) -> Self {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers/faults.c");
        let library = dir.join("faults.so");
        let built = Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-o"])
            .arg(&library)
            .arg(source)
            .arg("-ldl")
            .status()
            .expect("a C compiler is installed");
        assert!(built.success());
        Self { dir: dir.to_owned(), library }
    }

    /// The environment under which a program meets them.
    pub fn environment(&self) -> [(&'static str, String); 2] {
        let text = |path: &Path| path.to_str().unwrap().to_owned();
        [("LD_PRELOAD", text(&self.library)), ("FAULTS", text(&self.dir))]
    }

    /// Fills the disk, or empties it.
    pub fn disk_full(&self, full: bool) {
        let path = self.dir.join("full");
        match full {
            true => std::fs::write(path, "").unwrap(),
            false => std::fs::remove_file(path).unwrap(),
        }
    }

    /// Sets the clock off by so many seconds.
    pub fn clock_off_by(&self, seconds: i64) {
        let path = self.dir.join("clock.next");
        std::fs::write(&path, seconds.to_string()).unwrap();
        std::fs::rename(path, self.dir.join("clock")).unwrap();
    }
}
