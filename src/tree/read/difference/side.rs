//! The two sides of a difference.

use crate::error::Error;

/// One of the two trees that are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The tree as it was before.
    Before,
    /// The tree as it is after.
    After,
}

/// An error, and the side on which it occurred.
#[derive(Debug)]
pub struct SideError {
    /// The side.
    pub side: Side,
    /// What happened.
    pub error: Error,
}

impl Side {
    /// Returns the function that says of an error that it occurred on this side.
    #[inline]
    pub(super) fn error(self) -> impl Fn(Error) -> SideError {
        move |error| SideError { side: self, error }
    }
}
