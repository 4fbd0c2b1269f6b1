//! The environment variables that choose what is run: README.md lists them.

use std::path::{Path, PathBuf};

/// The value of an environment variable, or `default` if it is not set.
pub fn value<T: std::str::FromStr>(name: &str, default: T) -> T {
    match std::env::var(name) {
        Ok(text) => text
            .parse()
            .unwrap_or_else(|_| panic!("{name}={text:?} cannot be understood")),
        Err(_) => default,
    }
}

/// Whether the list in an environment variable names this, or there is no list and it is wanted without one.
pub fn chosen(list: &str, name: &str, default: bool) -> bool {
    std::env::var(list).map_or(default, |list| list.split(',').any(|item| item.trim() == name))
}

/// The file of results: `BENCH_RESULTS`, or beside the sources.
pub fn results_path() -> PathBuf {
    let path = std::env::var_os("BENCH_RESULTS");
    path.map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("results.jsonl"),
        PathBuf::from,
    )
}
