//! Holding a Kubernetes Lease, without the I/O.

pub mod access;
