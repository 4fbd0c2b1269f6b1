//! The engine's `pager/shared/mod.rs` and `file/sleepers.rs` on integers whose every access is a point where a
//! scheduler may switch threads.
//!
//! The modules around them stand for the engine's: just what those files name.

#[path = "../../../src/util/bytes.rs"]
pub mod bytes;
#[path = "../../../src/page/features.rs"]
pub mod features;
#[path = "../../../src/ids.rs"]
pub mod ids;
#[path = "../../../src/page/roots.rs"]
pub mod roots;
#[path = "../../../src/util/seeded.rs"]
pub mod seeded;

pub mod util {
    pub mod atomic {
        pub use shuttle::sync::atomic::AtomicU64;
    }

    pub use crate::{bytes, seeded};
}

pub mod error {
    pub type Result<T> = std::result::Result<T, Error>;

    #[derive(Debug, thiserror::Error)]
    pub enum Error {
        #[error("limit reached: {0}")]
        Limit(String),
    }
}

pub mod file {
    pub mod clock {
        pub fn coarse_ms() -> u64 {
            0
        }
    }

    /// Sleeping as the system does it, but for the time limit, which is over when [`futex::end_of_time`] says so.
    pub mod futex {
        use crate::util::atomic::AtomicU64;
        use shuttle::rand::Rng;
        use shuttle::sync::{Condvar, Mutex};
        use std::sync::atomic::Ordering::SeqCst;
        use std::time::Duration;

        #[derive(Debug, Clone, Copy)]
        struct Sleeper {
            number: u64,
            word: usize,
            marks: u32,
        }

        #[derive(Default)]
        struct Table {
            next: u64,
            asleep: Vec<Sleeper>,
            /// Whether a process has died, so that nobody can rely on being woken.
            ended: bool,
        }

        shuttle::lazy_static! {
            static ref TABLE: (Mutex<Table>, Condvar) = (Mutex::new(Table::default()), Condvar::new());
        }

        fn address(word: &AtomicU64) -> usize {
            std::ptr::from_ref(word) as usize
        }

        pub fn wait(word: &AtomicU64, seen: u64, marks: u32, _: Duration) {
            assert!(marks != 0, "nobody could wake this sleeper");
            let (table, awake) = &*TABLE;
            let mut table = table.lock().expect("table");
            if word.load(SeqCst) as u32 != seen as u32 {
                return;
            }
            if table.ended {
                drop(table);
                shuttle::thread::yield_now();
                return;
            }
            let number = table.next;
            table.next += 1;
            let word = address(word);
            table.asleep.push(Sleeper { number, word, marks });
            while table.asleep.iter().any(|sleeper| sleeper.number == number) {
                table = awake.wait(table).expect("table");
            }
        }

        /// Wakes any of them: the system has an order, on which nothing relies. Returns whether there were any.
        pub fn wake(word: &AtomicU64, most: u32, marks: u32) -> bool {
            let (table, awake) = &*TABLE;
            let mut table = table.lock().expect("table");
            let before = table.asleep.len();
            for _ in 0..most {
                let fits = |sleeper: &Sleeper| sleeper.word == address(word) && sleeper.marks & marks != 0;
                let found: Vec<usize> = (0..table.asleep.len()).filter(|i| fits(&table.asleep[*i])).collect();
                if found.is_empty() {
                    break;
                }
                let one = found[shuttle::rand::thread_rng().gen_range(0..found.len())];
                table.asleep.swap_remove(one);
            }
            awake.notify_all();
            table.asleep.len() < before
        }

        /// Wakes everybody, as the time limit does after a death. One who looked before the death may go to sleep only
        /// after this, so from now on nobody sleeps until woken: all look again and again.
        pub fn end_of_time() {
            let (table, awake) = &*TABLE;
            let mut table = table.lock().expect("table");
            table.asleep.clear();
            table.ended = true;
            awake.notify_all();
        }
    }

    #[path = "../../../../src/file/sleepers.rs"]
    pub mod sleepers;

    pub mod wake_ups;

    pub mod peers {
        pub const HEADER: usize = 0;
        pub const PROCESSES: usize = 4;
    }

    pub mod map {
        /// Words that threads share.
        #[derive(Debug)]
        pub struct Atomics<T>(Vec<T>);

        impl Atomics<crate::util::atomic::AtomicU64> {
            pub fn new(count: u64) -> crate::error::Result<Self> {
                Ok(Atomics(
                    (0..count).map(|_| crate::util::atomic::AtomicU64::new(0)).collect(),
                ))
            }
        }

        impl<T> Atomics<T> {
            pub fn all(&self) -> &[T] {
                &self.0
            }
        }
    }
}

pub mod page {
    pub use crate::features;
    pub use crate::roots::{Root, Roots};
}

#[allow(dead_code, unused_imports, reason = "the models use a part of it")]
pub mod pager {
    #[path = "../../../../src/pager/descriptor.rs"]
    pub mod descriptor;
    pub use descriptor::Descriptor;

    #[path = "../../../../src/pager/shared/mod.rs"]
    pub mod shared;

    pub mod models;
}
