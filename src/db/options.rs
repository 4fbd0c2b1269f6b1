//! How to open a database and how to begin a write transaction.

use crate::file::machine;
use crate::pager::{Durability, Verify, Wait};

/// How to open a database. `Default` is right for most programs.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Page size of a new file in bytes: 0 (= 4096), 4096, 8192, 16384, 32768 or 65536.
    pub page_size: u32,
    /// Fail with `NoFile` instead of creating.
    pub existing: bool,
    /// Fail with `Exists` if there is a file already.
    pub new: bool,
    /// Never write.
    pub read_only: bool,
    /// Keep everything in memory; the path is ignored.
    pub memory: bool,
    /// When pages are verified.
    pub verify: Verify,
    /// Default durability of commits.
    pub durability: Durability,
    /// Default wait for the writer's seat; `None` = for ever.
    pub wait: Option<std::time::Duration>,
    /// Bytes of edits a write transaction collects before it applies them; 0 = a 32nd of the memory (what the machine
    /// has, or what its control group leaves the process), 16 to 512 MiB.
    pub write_memory: usize,
}

/// How to begin a write transaction; `None` = the database's.
#[derive(Debug, Clone, Copy, Default)]
pub struct WriteOptions {
    /// How long to wait for the writer's seat.
    pub wait: Option<Wait>,
    /// Durability of its commit.
    pub durability: Option<Durability>,
    /// Bytes of edits it collects before applying them.
    pub memory: Option<usize>,
}

impl Options {
    /// Budget of a write transaction in bytes.
    pub(crate) fn budget(&self) -> usize {
        if self.write_memory > 0 {
            return self.write_memory;
        }
        default_budget()
    }
}

/// A 32nd of the memory, 16 MiB to 512 MiB: a larger set makes large transactions faster, because each time it is applied
/// most leaves are written anew (5 million entries of 174 bytes: 2.7 us each with 64 MiB, 0.9 with 256, 0.65 with 512, 0.45
/// with 1 GiB).
fn default_budget() -> usize {
    static BUDGET: std::sync::OnceLock<usize> = std::sync::OnceLock::new();
    *BUDGET.get_or_init(|| (machine::memory() / 32).clamp(16 << 20, 512 << 20) as usize)
}
