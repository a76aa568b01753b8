//! placeholder
/// placeholder
pub fn kubeconfig(_: &[u8]) {}
