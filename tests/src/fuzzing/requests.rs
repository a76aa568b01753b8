//! placeholder
/// placeholder
pub fn requests(_: &[u8]) {}
