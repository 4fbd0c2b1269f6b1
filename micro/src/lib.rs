//! What the micro-benchmarks work on: entries of some kinds, and trees of them over pages in memory. Everything is made
//! from a seed, so that two runs do the same work.

pub mod entries;
pub mod pages;
