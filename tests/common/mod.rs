//! What the test files share: generators, the reference model, and both doors to the engine behind one trait.
//!
//! Every integration test is a program of its own and uses a part of this only, hence the `allow`.
#![allow(dead_code)]

pub mod abi;
pub mod another;
pub mod api;
pub mod capi;
pub mod child;
pub mod cold;
pub mod compare;
pub mod drive;
pub mod fork;
pub mod forward;
pub mod gen;
pub mod image;
pub mod in_memory;
pub mod ledger;
pub mod locks;
pub mod model;
pub mod mount;
pub mod patterns;
pub mod random_history;
pub mod rng;
pub mod small_disk;
pub mod sparse;
pub mod tmp;

/// Reads a number from the environment, so that CI and long soaks run the same tests at different sizes.
pub fn env_number(name: &str, default: u64) -> u64 {
    match std::env::var(name) {
        Ok(text) => text
            .replace('_', "")
            .parse()
            .unwrap_or_else(|_| panic!("{name}={text:?} is not a number")),
        Err(_) => default,
    }
}
