//! Looking host names up, and which of a host's addresses comes first.

use std::{
    fmt, io,
    net::{IpAddr, SocketAddr, ToSocketAddrs},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use tokio::sync::oneshot;

/// The addresses of the hosts that are connected to: the server, or the proxy.
///
/// A look-up cannot be ended. One that hangs has a thread that no runtime waits for, and whoever asks for the same name in the
/// meantime waits for that one, so however often it is tried there is one thread for each name.
#[derive(Clone)]
pub(crate) struct Names {
    look_up: Arc<LookUp>,
    under_way: Arc<Mutex<Vec<(Name, Waiters)>>>,
    skipped: Arc<AtomicUsize>,
}

type Name = (String, u16);
type LookUp = dyn Fn(&str, u16) -> io::Result<Vec<SocketAddr>> + Send + Sync;
type Found = Result<Vec<SocketAddr>, (io::ErrorKind, String)>;
type Waiters = Vec<oneshot::Sender<Found>>;

impl Default for Names {
    /// Asks the system.
    fn default() -> Self {
        Self::new(|host, port| Ok((host, port).to_socket_addrs()?.collect()))
    }
}

impl Names {
    /// Asks whom it is given, for names and ports.
    pub(crate) fn new(
        look_up: impl Fn(&str, u16) -> io::Result<Vec<SocketAddr>> + Send + Sync + 'static,
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

    /// Returns the addresses in the order in which they are to be tried.
    pub(crate) async fn addresses(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        if let Ok(address) = host.parse::<IpAddr>() {
            return Ok(vec![(address, port).into()]);
        }
        let found = self.found(host, port)?.await;
        let found = found.map_err(|_| io::Error::other("the look-up of the name ended early"))?;
        let mut found = found.map_err(|(kind, what)| io::Error::new(kind, what))?;
        let first = self.skipped().checked_rem(found.len()).unwrap_or_default();
        found.rotate_left(first);
        Ok(found)
    }

    fn found(&self, host: &str, port: u16) -> io::Result<oneshot::Receiver<Found>> {
        let (waiter, found) = oneshot::channel();
        let mut under_way = lock(&self.under_way);
        let asked = under_way
            .iter_mut()
            .find(|(name, _)| name.0 == host && name.1 == port);
        if let Some((_, waiters)) = asked {
            // Who has given up does not come back, however long the look-up hangs.
            waiters.retain(|waiter| !waiter.is_closed());
            waiters.push(waiter);
            return Ok(found);
        }
        let (names, name) = (self.clone(), (host.to_owned(), port));
        let asked = name.clone();
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
                let found = (names.look_up)(&asked.0, asked.1);
                looking.found = found.map_err(|error| (error.kind(), error.to_string()));
            })?;
        under_way.push((name, vec![waiter]));
        Ok(found)
    }
}

/// A look-up, which tells those who wait for it when it ends, however it does.
struct Looking<'a> {
    names: &'a Names,
    name: &'a Name,
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
            let _gave_up = waiter.send(self.found.clone());
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Names").finish_non_exhaustive()
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "test code")]
mod tests {
    use std::{sync::mpsc, time::Duration};

    use tokio::{runtime::Runtime, time::timeout};

    use super::*;

    #[test]
    fn who_asks_while_a_look_up_hangs_waits_for_that_one_and_no_runtime_does() {
        let (go, gone) = mpsc::channel::<()>();
        let (gone, begun) = (Mutex::new(gone), Arc::new(AtomicUsize::new(0)));
        let count = Arc::clone(&begun);
        let names = Names::new(move |_, _| {
            count.fetch_add(1, Ordering::SeqCst);
            let _hung = gone.lock().unwrap().recv();
            Ok(vec![([127, 0, 0, 1], 1).into()])
        });
        let runtime = Runtime::new().unwrap();
        runtime.block_on(async {
            for _ in 0..5 {
                let found = timeout(Duration::from_millis(10), names.addresses("host", 1)).await;
                assert!(found.is_err(), "{found:?}");
                let waiters: Vec<_> = lock(&names.under_way).iter().map(|it| it.1.len()).collect();
                assert_eq!(waiters, [1]);
            }
        });
        // It would not come back before the look-up has ended.
        drop(runtime);
        drop(go);
        let found = Runtime::new().unwrap().block_on(names.addresses("host", 1));
        assert_eq!(found.unwrap().len(), 1);
        assert!(begun.load(Ordering::SeqCst) <= 2);
    }

    #[tokio::test]
    async fn the_next_address_comes_first_after_a_failure_however_many_tell_of_it() {
        let addresses: Vec<SocketAddr> = (1..=3).map(|it| ([127, 0, 0, it], 1).into()).collect();
        let all = addresses.clone();
        let names = Names::new(move |_, _| Ok(all.clone()));
        for expected in addresses.iter().chain(&addresses) {
            assert_eq!(names.addresses("host", 1).await.unwrap()[0], *expected);
            let skipped = names.skipped();
            for _ in 0..3 {
                names.skip(skipped);
            }
        }
    }

    #[tokio::test]
    async fn what_is_wrong_is_told_and_asked_for_again() {
        let names = Names::new(|_, _| Err(io::Error::new(io::ErrorKind::NotFound, "no such host")));
        for _ in 0..2 {
            let error = names.addresses("host", 1).await.unwrap_err();
            assert_eq!(error.to_string(), "no such host");
        }
        let names = Names::new(|_, _| panic!("as it should be in this test"));
        for _ in 0..2 {
            let error = names.addresses("host", 1).await.unwrap_err();
            assert!(error.to_string().contains("panicked"), "{error}");
        }
    }
}
