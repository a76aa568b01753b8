//! Holding a Kubernetes Lease, without the I/O.

pub mod wire;

pub use wire::{Identity, LeaseName, NameError, Namespace};
