//! The report.
use crate::worker::Engine;
use std::path::Path;
pub fn report(_results: &Path, _docs: &Path, _engines: &[Engine]) {}
