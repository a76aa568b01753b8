//! Holding a Kubernetes Lease, without the I/O.
