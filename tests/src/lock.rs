//! What only one test may have at a time, whatever process it runs in.

use std::fs::File;

/// Holds the lock of this name until the file is dropped; waits for it.
///
/// # Panics
/// When the file of the lock can't be made.
pub fn hold(name: &str) -> File {
    let path = std::env::temp_dir().join(format!("penstock-{name}"));
    let file = File::create(path).expect("a file");
    file.lock().expect("a lock");
    file
}
