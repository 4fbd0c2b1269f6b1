//! The B+tree: one function that changes it ([`write`]), and the ways to read it ([`read`]).
//!
//! Pages come through [`crate::page::PageSource`] and go through [`crate::page::PageSink`]; this room knows neither the
//! pager nor files. So it is tested over pages in memory.

pub mod read;
#[cfg(test)]
pub(crate) mod testing;
pub mod write;
