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
use std::process::ExitCode;

/// The crates, from those that know nobody to those that know all.
const CRATES: [&str; 6] = ["wire", "config", "backends", "proxy", "benches", "tests"];

fn main() -> ExitCode {
    let house = match House::read(&CRATES) {
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
