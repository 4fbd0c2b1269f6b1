//! Ways to walk over entries.

/// The direction of a scan and what it looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Way {
    pub backward: bool,
    pub keys_only: bool,
}

impl Way {
    pub const FORWARD: Way = Way {
        backward: false,
        keys_only: false,
    };
    pub const BACKWARD: Way = Way {
        backward: true,
        keys_only: false,
    };
}
