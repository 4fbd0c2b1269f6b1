//! What a disk of the tests leaves to the one below it.

/// The methods of `Storage` that read, and what the file is, from the field of the type that is given.
macro_rules! forward_storage {
    ($below:ident) => {
        fn len(&self) -> kv::Result<u64> {
            self.$below.len()
        }
        fn read_at(&self, at: u64, into: &mut [u8]) -> kv::Result<()> {
            self.$below.read_at(at, into)
        }
        fn read_cached(&self, at: u64, into: &mut [u8]) -> kv::Result<()> {
            self.$below.read_cached(at, into)
        }
        fn memory(&self) -> kv::file::Mapped {
            self.$below.memory()
        }
        fn identity(&self) -> Option<kv::file::Identity> {
            None
        }
        fn read_only(&self) -> bool {
            false
        }
    };
}

pub(super) use forward_storage;
