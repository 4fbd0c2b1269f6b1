//! A directory of one's own that disappears with the test, also when it fails.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// A temporary directory; removed when dropped (kept if KV_KEEP is set, to look at a failure).
pub struct TempDir {
    path: PathBuf,
}

impl TempDir {
    /// A new empty directory below KV_TMP, or the system's directory for temporary files.
    pub fn new(what: &str) -> TempDir {
        TempDir::below(
            &std::env::var_os("KV_TMP").map_or_else(std::env::temp_dir, PathBuf::from),
            what,
        )
    }

    /// A new empty directory below `base`.
    pub fn below(base: &Path, what: &str) -> TempDir {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = base.join(format!("kv-test-{}-{number}-{what}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        TempDir { path }
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Path of a file in it.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        if std::env::var_os("KV_KEEP").is_some() {
            eprintln!("kept: {}", self.path.display());
        } else {
            let _ = std::fs::remove_dir_all(&self.path);
        }
    }
}
