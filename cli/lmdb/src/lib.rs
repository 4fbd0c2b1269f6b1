//! A reader of the files of LMDB 0.9 and 1.0 that needs no LMDB.
//!
//! [`Environment::open`] opens a file, [`Environment::databases`] lists the databases in it, and
//! [`Environment::entries`] goes through the entries of one, in LMDB's order. [`composite`] joins a key and one of its
//! values to a single key, for stores that keep one value per key.
//!
//! The reader trusts nothing in the file. Whatever the file holds, it answers with entries or with an [`Error`] that
//! names the page, it reads no page twice for one list of entries (or for several, [`Environment::entries_after`]), and
//! its memory does not depend on what the file claims: it is a few pages, one bit for each page read, and the entry
//! that is returned.
//!
//! It does not look at the order of keys, because a program may have given LMDB a comparison of its own, which the
//! file does not name.
//!
//! # Files in use
//!
//! The reader does not take part in LMDB's locks, which lie in shared memory that only LMDB's own code may touch. Stop
//! the programs that write, or copy the environment with `mdb_copy` first. If somebody commits nevertheless while
//! entries are read, the last item of the list is [`Error::Changed`], because pages may have been reused meanwhile.
//!
//! # The format
//!
//! All integers have the byte order of the machine that wrote the file. A *word* is 8 bytes, or 4 if LMDB was built for
//! 32 bits. A file is a row of pages of one size, a power of two from 256 bytes to 64 KiB (32 KiB in 0.9). The first
//! integer that can be recognized is the magic number of page 0, and its place and the data version behind it tell
//! version, word and byte order apart:
//!
//! | LMDB | word | magic number at | data version |
//! |------|------|-----------------|--------------|
//! | 0.9  | 4    | 12              | 1            |
//! | 0.9  | 8    | 16              | 1            |
//! | 1.0  | 4    | 16              | 3            |
//! | 1.0  | 8    | 24              | 3            |
//!
//! Data version 2 is that of builds before 1.0 was released, and 999 that of builds for LMDB's own development. Neither
//! is read.
//!
//! **Page header.** Every page begins with one, except the second and later pages of an overflow run:
//!
//! ```text
//! word  number of the page
//! word  1.0 only: the transaction that wrote it
//! u16   leaves of fixed size: bytes of an item
//! u16   kind: 1 branch, 2 leaf, 4 overflow, 8 meta, 0x20 items of fixed size, 0x40 sub-page.
//!       0x10 and all bits above 0x40 are LMDB's notes to itself
//! u16   lower: where the array of offsets ends. In overflow pages lower and upper are one u32, the number of pages
//! u16   upper: where the nodes begin
//! ```
//!
//! In 0.9, lower, upper and the offsets of nodes count from the beginning of the page; in 1.0 they count from the end
//! of the header.
//!
//! **Meta pages** are pages 0 and 1. Transaction n writes page n mod 2, and the one with the higher transaction counts:
//!
//! ```text
//! header
//! u32   magic number, 0xBEEFC0DE
//! u32   data version
//! word  address of the map, not used here
//! word  size of the map, not used here
//! record of the free list, whose first field is the page size, and whose flags are those of the environment
//! record of the main database
//! word  number of the last page in use
//! word  transaction
//! ```
//!
//! In 1.0 the last two bytes of page 0 hold the number of bytes that a checksum takes at the end of each page (for an
//! overflow run, at the end of its last page). Which checksum that is depends on the program that made the file, so it
//! is passed over. Files that are encrypted say so in the flags of the environment.
//!
//! **Record of a database:**
//!
//! ```text
//! u32   bytes of an item, in trees of values of fixed size
//! u16   flags
//! u16   levels of the tree
//! word  branches
//! word  leaves
//! word  overflow pages
//! word  entries
//! word  root, all bits set if the database is empty
//! ```
//!
//! **Branches and leaves** have behind the header an array of u16 offsets of their nodes, in the order of the keys.
//! Nodes lie at even offsets:
//!
//! ```text
//! u32   branch: low bits of the number of the child. Leaf: bytes of the value
//! u16   branch, words of 8 bytes: bits 32 to 47 of the number. Leaf: flags
//! u16   bytes of the key
//!       key (that of a branch's first node is empty, and no node has more than a page)
//!       in 1.0, a byte of padding if the length of the key is odd
//!       leaf: value
//! ```
//!
//! The flags of a node in a leaf say what its value is:
//!
//! | flags | value |
//! |-------|-------|
//! | 0     | itself |
//! | 1     | an overflow run: the word of its first page; in 1.0, also the words of its transaction and its pages |
//! | 2     | the record of a named database, in the main database. The key is the name, in 1.0 with a zero byte |
//! | 4     | several values in a sub-page |
//! | 6     | several values in a tree of their own: its record |
//!
//! **Several values** of a key (flag DUPSORT of the database) are the keys of a *sub-page*, which is a small leaf
//! inside the node with a header of its own, or of a tree of ordinary pages. Their nodes have empty values. If all
//! values have one length (DUPFIXED), such a leaf has neither offsets nor nodes: the items lie side by side behind the
//! header, and their number is that of the offsets that `lower` would end.
//!
//! **Overflow runs** are a header and the value, over as many pages as that takes.

mod database;
mod entries;
mod environment;
mod error;
mod layout;
mod meta;
mod page;
mod pages;
mod source;
mod tree;

pub mod composite;

pub use database::{Database, Flags, Rule};
pub use entries::{Entries, Entry};
pub use environment::Environment;
pub use error::{Error, Result};
pub use layout::{ByteOrder, Version};
pub use pages::ReadPages;
pub use source::Source;
