//! Holding a Kubernetes Lease, without the I/O.

#[cfg(feature = "server")]
pub mod server;
