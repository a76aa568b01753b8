//! How much a set may have under way at once.

/// How much a set may have under way at once.
///
/// An API server lets a client have some 100 to 250 requests under way on one connection (HTTP/2), streams included.
///
/// ```
/// use std::time::Instant;
///
/// use lease_proto::{ClaimSet, SetLimits};
///
/// let limits = SetLimits::default().requests(32).streams(4);
/// let set = ClaimSet::new(limits, 0x5eed, Instant::now());
/// assert!(set.is_empty());
/// ```
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct SetLimits {
    pub(super) requests: usize,
    pub(super) streams: usize,
    pub(super) sharers: usize,
}

impl Default for SetLimits {
    fn default() -> Self {
        Self {
            requests: 64,
            streams: 32,
            sharers: 8,
        }
    }
}

impl SetLimits {
    /// Sets how many requests may be under way at once, streams aside. At least 2, which stands for less; by default 64.
    ///
    /// Each claim must be renewed once in what its grant lasts, less what an answer takes, so at least claims × answer / (grant −
    /// answer) are needed: for 10,000 claims with the default grant of ten seconds 50 where answers take 50 ms, and 2,500
    /// where they take two seconds; and a quarter more, for those that acquire and release meanwhile. With fewer as many
    /// Leases are kept as there is room for.
    ///
    /// Half of them are kept for claims whose last request was answered, so that those whose requests hang do not keep others
    /// from renewing. Where all are under way, and more than half of them take longer than is usual, one of these is given
    /// up before its [timeout](crate::ConfigBuilder::request_timeout) for each claim that waits. It is a twentieth of a second at
    /// least until one is taken to hang, and so many at once as are kept for others: those that begin to hang together cost
    /// no other claim its Lease if that is over before a grant is, and they are no more than three quarters of all.
    ///
    /// Where nothing is answered at all, what is under way is waited for instead until grants end, but for one in an eighth of a
    /// second, which is tried again to see whether that is answered: a server that has stopped for a while carries out what it
    /// was sent, whether or not it is sent twice.
    ///
    /// More does not help a server that cannot keep up: where answers take the longer the more are under way, half as many are
    /// from then on, 8 at least, and more again little by little.
    #[must_use]
    pub fn requests(mut self, most: usize) -> Self {
        self.requests = most.max(2);
        self
    }

    /// Sets how many streams may be open at once. By default 32; with 0 nothing is watched.
    ///
    /// Claims that wait and have none look at their records from time to time.
    #[must_use]
    pub fn streams(mut self, most: usize) -> Self {
        self.streams = most;
        self
    }

    /// Sets from how many claims of one namespace on that wait they share one stream, of all Leases of the namespace. At least
    /// 1; by default 8.
    ///
    /// It needs the verb `watch` without names of resources. Where that is refused, or so many other Leases are renewed in
    /// the namespace that it would cost more than it spares, claims have streams of their own, as far as allowed.
    #[must_use]
    pub fn sharers(mut self, least: usize) -> Self {
        self.sharers = least.max(1);
        self
    }
}
