//! The structure of the sources, held against what it is to be: no two files know each other in a circle, no arrow goes
//! up from a room to one above it, and nothing is too long to be read.
//!
//! An arrow goes from a file to the one in which something is defined that it names. What the file of a room hands on by
//! `pub use` is the door plate of that room, and no arrow of its own; what it defines belongs to all files of that room, so
//! that their arrows to it are none.

#![allow(clippy::print_stdout)] // it is what this program is for

mod arrows;
mod circles;
mod modules;
mod rooms;
mod sizes;

use modules::House;
use std::path::Path;
use std::process::ExitCode;

/// The crates, from those that know nobody to those that know all.
const CRATES: [&str; 7] = ["wire", "policy", "config", "backends", "proxy", "benches", "tests"];

fn main() -> ExitCode {
    let house = match House::read(Path::new(""), &CRATES) {
        Ok(house) => house,
        Err(error) => {
            println!("{error}");
            return ExitCode::FAILURE;
        }
    };
    let arrows = arrows::between_files(&house);
    let mut faults = circles::among(&house, &arrows);
    faults.extend(rooms::upward(&house, &arrows));
    faults.extend(sizes::too_long(&house));
    for fault in &faults {
        println!("{fault}");
    }
    println!("{}", sizes::summary(&house));
    println!("{} files, {} arrows, {} faults", house.files.len(), arrows.len(), faults.len());
    if faults.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The faults of a crate with these files.
    fn faults(files: &[(&str, &str)]) -> Vec<String> {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = dir.path().join("wire/src").join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let house = House::read(dir.path(), &["wire"]).unwrap();
        let arrows = arrows::between_files(&house);
        [circles::among(&house, &arrows), rooms::upward(&house, &arrows), sizes::too_long(&house)].concat()
    }

    const ROOMS: (&str, &str) = ("lib.rs", "mod a; mod b;");

    #[test]
    fn circles_are_found_whatever_names_them() {
        let a = ("a.rs", "pub struct A;");
        for b in [
            "use crate::a::A; pub struct B(A);",
            "use super::a; pub struct B(a::A);",
            "pub fn b() { let _ = crate::a::A; }",
            "pub fn b() { println!(\"{:?}\", crate::a::A); }",
            "use crate::a::{A as Other}; pub type B = Other;",
        ] {
            assert_eq!(faults(&[ROOMS, a, ("b.rs", b)]), Vec::<String>::new(), "{b}");
            let circle = ("a.rs", "use crate::b; pub struct A; pub fn a() { b::b() }");
            let b = format!("{b} pub fn b() {{}}").replacen("pub fn b() { ", "pub fn c() { ", 1);
            assert_eq!(
                faults(&[ROOMS, circle, ("b.rs", &b)]).len(),
                3,
                "{b}: a circle of files, and of rooms"
            );
        }
    }

    #[test]
    fn a_door_plate_is_known_by_its_room() {
        let plate = ("a/mod.rs", "mod x; pub use x::X; pub struct A(X);");
        let x = ("a/x.rs", "use super::A; pub struct X(Option<Box<A>>);");
        assert_eq!(faults(&[("lib.rs", "mod a;"), plate, x]), Vec::<String>::new());
    }

    #[test]
    fn tests_are_nobodys_business() {
        let a = ("a.rs", "pub struct A; #[cfg(test)] mod tests { use crate::b::B; }");
        assert_eq!(faults(&[ROOMS, a, ("b.rs", "use crate::a::A; pub struct B(A);")]), Vec::<String>::new());
    }

    #[test]
    fn what_is_too_long_is_told() {
        let long = format!("pub fn a() {{{}}}", "\n".repeat(80));
        assert_eq!(faults(&[("lib.rs", &long)]).len(), 1);
        assert_eq!(faults(&[("lib.rs", &"\n".repeat(401))]).len(), 1);
    }
}
