//! The one function that changes a tree, and what it is made of.

mod append;
pub mod apply;
pub mod arena;
mod branches;
mod cut;
pub mod edits;
pub mod emit;
mod fences;
mod groups;
mod leaves;
mod merge;
#[cfg(test)]
mod model_test;
pub mod values;
