//! The engine's `pager/shared/mod.rs` on integers whose every access is a point where a scheduler may switch threads.
//!
//! The modules around it stand for the engine's: just what that file names.

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
        Limit(&'static str),
    }
}

pub mod file {
    pub mod clock {
        pub fn coarse_ms() -> u64 {
            0
        }
    }

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
