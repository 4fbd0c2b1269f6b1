//! The engines, a file each. Those beyond libkv and LMDB are features of the package; those that come with the system
//! are loaded when they are used, so that a machine without them only misses their rows.

pub mod libkv;
pub mod lmdb;

#[cfg(feature = "bdb")]
pub mod bdb;
#[cfg(feature = "canopydb")]
pub mod canopydb;
#[cfg(feature = "dynamic")]
mod dynamic;
#[cfg(feature = "fjall")]
pub mod fjall;
#[cfg(feature = "mdbx")]
pub mod mdbx;
#[cfg(feature = "redb")]
pub mod redb;
#[cfg(feature = "rocksdb")]
pub mod rocksdb;
#[cfg(feature = "sled")]
pub mod sled;
#[cfg(feature = "sqlite")]
pub mod sqlite;

/// Version of a crate, as this program was built with it.
#[cfg(any(feature = "canopydb", feature = "fjall", feature = "redb", feature = "sled"))]
fn version_of(name: &str) -> String {
    let lock = include_str!("../../Cargo.lock");
    let entry = lock
        .split("[[package]]")
        .find(|entry| entry.contains(&format!("name = \"{name}\"\n")));
    let version = entry.and_then(|entry| entry.split("version = \"").nth(1)?.split('"').next());
    format!("{name} {}", version.unwrap_or("unknown"))
}
