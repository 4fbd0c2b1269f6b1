//! The one function that changes a tree, and what it is made of.

mod append;
pub mod apply;
pub mod arena;
mod branch_cut;
mod branches;
pub mod edits;
pub mod emit;
mod fences;
mod groups;
mod join;
mod leaf_cut;
mod leaves;
mod merge;
#[cfg(test)]
mod model_test;
mod node;
mod range;
mod sorted;
pub mod values;
