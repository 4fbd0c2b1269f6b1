//! Hints to the machine: which parts of a page will be read soon, asked of memory before the page was looked at.
//!
//! Nothing here changes what a lookup answers. A wrong hint costs a little memory bandwidth and nothing else.
//!
//! | file       | subject                                                                        |
//! |------------|--------------------------------------------------------------------------------|
//! | `leaf`     | where in a leaf a lookup will look                                               |
//! | `branch`   | the same for the branch above the leaves, and for leaves that lie in a row       |
//! | `recorder` | for tests: a source without pages that records what was asked for                |

pub mod branch;
pub mod leaf;
#[cfg(test)]
mod recorder;
