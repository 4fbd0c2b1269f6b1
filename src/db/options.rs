//! These options say how to open a database and how to begin a write transaction.

use crate::file::machine;
use crate::pager::{Durability, Verify, Wait};

/// The options for opening a database. The default is right for most programs: it creates the file if it is not there,
/// and every commit is durable when it returns.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The page size of a new file in bytes: 4096, 8192, 16384, 32768 or 65536; 0 stands for 4096. A file keeps the
    /// page size with which it was made.
    pub page_size: u32,
    /// If set, opening fails with `NoFile` if there is no file, and nothing is created.
    pub existing: bool,
    /// If set, opening fails with `FileExists` if there is a file already.
    pub new: bool,
    /// If set, the database is never written to, and the file may be read-only.
    pub read_only: bool,
    /// If set, everything is kept in memory, and the path is ignored.
    pub memory: bool,
    /// When pages are compared with their checksums.
    pub verify: Verify,
    /// The durability of commits whose transactions do not name another one.
    pub durability: Durability,
    /// How long transactions that do not say otherwise wait for the write lock. `None` means without end.
    pub wait: Option<std::time::Duration>,
    /// How many bytes of edits a write transaction collects before it applies them to its trees. 0 stands for a 32nd of
    /// the memory that the machine has or that its control group leaves to the process, but at least 16 MiB and at most
    /// 512 MiB.
    pub write_memory: usize,
}

/// The options of a write transaction. Where one is `None`, the [`Options`] of the database apply.
#[derive(Debug, Clone, Copy, Default)]
pub struct WriteOptions {
    /// How long to wait for the write lock.
    pub wait: Option<Wait>,
    /// The durability of its commit.
    pub durability: Option<Durability>,
    /// How many bytes of edits it collects before it applies them to its trees.
    pub write_memory: Option<usize>,
}

impl Options {
    /// Returns the budget of a write transaction in bytes.
    pub(crate) fn budget(&self) -> usize {
        if self.write_memory > 0 {
            return self.write_memory;
        }
        default_budget()
    }
}

/// Returns a 32nd of the memory, but at least 16 MiB and at most 512 MiB. A larger budget makes large transactions
/// faster, because each time a write set is applied most leaves are written anew. (Each of 5 million entries of 174
/// bytes takes 2.7 us with 64 MiB, 0.9 with 256 MiB, 0.65 with 512 MiB and 0.45 with 1 GiB.)
fn default_budget() -> usize {
    static BUDGET: std::sync::OnceLock<usize> = std::sync::OnceLock::new();
    *BUDGET.get_or_init(|| (machine::memory() / 32).clamp(16 << 20, 512 << 20) as usize)
}
