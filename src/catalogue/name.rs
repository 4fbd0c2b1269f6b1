//! How long names and notes may be, of tables and of snapshots.

/// The largest length of a name in bytes.
pub const NAME_MAX: usize = 512;
/// The largest length of a note in bytes.
pub const NOTE_MAX: usize = 1024;
