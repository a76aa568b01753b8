//! Looking host names up, and which of a host's addresses comes first.

use std::{
    fmt, io,
    net::{SocketAddr, ToSocketAddrs},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicUsize, Ordering},
        mpsc::{self, RecvTimeoutError},
    },
    thread,
    time::Duration,
};

use ureq::{
    config::Config,
    http::Uri,
    unversioned::{
        resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver},
        transport::NextTimeout,
    },
};

/// The addresses of the hosts that are connected to: the server, or the proxy.
///
/// A look-up cannot be ended. One that hangs has a thread, and whoever asks for the same name in the meantime waits for that one,
/// so however often it is tried there is one thread for each name.
#[derive(Clone)]
pub(crate) struct Names {
    look_up: Arc<LookUp>,
    under_way: Arc<Mutex<Vec<(String, Waiters)>>>,
    skipped: Arc<AtomicUsize>,
}

type LookUp = dyn Fn(&str) -> io::Result<Vec<SocketAddr>> + Send + Sync;
type Found = Result<Vec<SocketAddr>, (io::ErrorKind, String)>;
type Waiters = Vec<Waiter>;

/// Who is to be told, as long as it waits.
struct Waiter {
    tell: mpsc::Sender<Found>,
    waits: Weak<()>,
}

impl Default for Names {
    /// Asks the system.
    fn default() -> Self {
        Self::new(|name| Ok(name.to_socket_addrs()?.collect()))
    }
}

impl Names {
    /// Asks whom it is given, for names with ports.
    pub(crate) fn new(
        look_up: impl Fn(&str) -> io::Result<Vec<SocketAddr>> + Send + Sync + 'static,
    ) -> Self {
        Self {
            look_up: Arc::new(look_up),
            under_way: Arc::default(),
            skipped: Arc::default(),
        }
    }

    /// Returns how many addresses are passed over: for [`skip`](Self::skip).
    pub(crate) fn skipped(&self) -> usize {
        self.skipped.load(Ordering::Relaxed)
    }

    /// Has the next address come first, since nothing came of a request that began when so many were passed over. Of many that
    /// fail at once only the first has anything to change.
    pub(crate) fn skip(&self, skipped: usize) {
        let next = skipped.wrapping_add(1);
        let _another_did =
            self.skipped
                .compare_exchange(skipped, next, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// Returns the addresses in the order in which they are to be tried; `None` if that takes too long.
    fn addresses(&self, name: &str, timeout: Duration) -> io::Result<Option<Vec<SocketAddr>>> {
        let waits = Arc::new(());
        let found = self.await_found(name, Arc::downgrade(&waits))?;
        let found = match found.recv_timeout(timeout) {
            Ok(found) => found,
            Err(RecvTimeoutError::Timeout) => return Ok(None),
            Err(RecvTimeoutError::Disconnected) => {
                return Err(io::Error::other("the look-up of the name ended early"));
            }
        };
        let mut found = found.map_err(|(kind, what)| io::Error::new(kind, what))?;
        let first = self.skipped().checked_rem(found.len()).unwrap_or_default();
        found.rotate_left(first);
        Ok(Some(found))
    }

    fn await_found(&self, name: &str, waits: Weak<()>) -> io::Result<mpsc::Receiver<Found>> {
        let (tell, found) = mpsc::channel();
        let waiter = Waiter { tell, waits };
        let mut under_way = lock(&self.under_way);
        if let Some((_, waiters)) = under_way.iter_mut().find(|(asked, _)| asked == name) {
            // Who has given up does not come back, however long the look-up hangs.
            waiters.retain(|waiter| waiter.waits.strong_count() > 0);
            waiters.push(waiter);
            return Ok(found);
        }
        let (names, asked) = (self.clone(), name.to_owned());
        thread::Builder::new()
            .name("lease-names".to_owned())
            .spawn(move || {
                let mut looking = Looking {
                    names: &names,
                    name: &asked,
                    found: Err((
                        io::ErrorKind::Other,
                        "the look-up of the name panicked".into(),
                    )),
                };
                let found = (names.look_up)(&asked);
                looking.found = found.map_err(|error| (error.kind(), error.to_string()));
            })?;
        under_way.push((name.to_owned(), vec![waiter]));
        Ok(found)
    }
}

/// A look-up, which tells those who wait for it when it ends, however it does.
struct Looking<'a> {
    names: &'a Names,
    name: &'a str,
    found: Found,
}

impl Drop for Looking<'_> {
    fn drop(&mut self) {
        let mut under_way = lock(&self.names.under_way);
        let place = under_way.iter().position(|(asked, _)| asked == self.name);
        for waiter in place
            .map(|it| under_way.swap_remove(it).1)
            .unwrap_or_default()
        {
            let _gave_up = waiter.tell.send(self.found.clone());
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Resolver for Names {
    fn resolve(
        &self,
        uri: &Uri,
        _: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let name = uri.scheme().zip(uri.authority());
        let name = name.and_then(|(scheme, host)| DefaultResolver::host_and_port(scheme, host));
        let name = name.ok_or(ureq::Error::HostNotFound)?;
        let Some(addresses) = self.addresses(&name, *timeout.after)? else {
            return Err(ureq::Error::Timeout(timeout.reason));
        };
        let mut found = self.empty();
        for address in addresses.into_iter().take(AT_MOST) {
            found.push(address);
        }
        if found.is_empty() {
            return Err(ureq::Error::HostNotFound);
        }
        Ok(found)
    }
}

impl fmt::Debug for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Names").finish_non_exhaustive()
    }
}

/// As many as ureq has room for.
const AT_MOST: usize = 16;

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "test code")]
mod tests {
    use std::sync::mpsc;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(20);

    #[test]
    fn who_asks_while_a_look_up_hangs_waits_for_that_one() {
        let (go, gone) = mpsc::channel::<()>();
        let (gone, begun) = (Mutex::new(gone), Arc::new(AtomicUsize::new(0)));
        let count = Arc::clone(&begun);
        let names = Names::new(move |_| {
            count.fetch_add(1, Ordering::SeqCst);
            let _hung = gone.lock().unwrap().recv();
            Ok(vec![([127, 0, 0, 1], 1).into()])
        });
        for _ in 0..5 {
            let found = names.addresses("host:1", Duration::from_millis(10));
            assert_eq!(found.unwrap(), None);
            let waiters: Vec<_> = lock(&names.under_way).iter().map(|it| it.1.len()).collect();
            assert_eq!(waiters, [1]);
        }
        drop(go);
        let found = names.addresses("host:1", PATIENCE).unwrap();
        assert_eq!(found.unwrap().len(), 1);
        assert!(begun.load(Ordering::SeqCst) <= 2);
    }

    #[test]
    fn the_next_address_comes_first_after_a_failure_however_many_tell_of_it() {
        let addresses: Vec<SocketAddr> = (1..=3).map(|it| ([127, 0, 0, it], 1).into()).collect();
        let all = addresses.clone();
        let names = Names::new(move |_| Ok(all.clone()));
        let first = || names.addresses("host:1", PATIENCE).unwrap().unwrap()[0];
        for expected in addresses.iter().chain(&addresses) {
            assert_eq!(first(), *expected);
            let skipped = names.skipped();
            for _ in 0..3 {
                names.skip(skipped);
            }
        }
    }

    #[test]
    fn what_is_wrong_is_told_and_asked_for_again() {
        let names = Names::new(|_| Err(io::Error::new(io::ErrorKind::NotFound, "no such host")));
        for _ in 0..2 {
            let error = names.addresses("host:1", PATIENCE).unwrap_err();
            assert_eq!(error.to_string(), "no such host");
        }
        let names = Names::new(|_| panic!("as it should be in this test"));
        for _ in 0..2 {
            let error = names.addresses("host:1", PATIENCE).unwrap_err();
            assert!(error.to_string().contains("panicked"), "{error}");
        }
    }
}
