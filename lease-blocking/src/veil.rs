//! Credentials behind a veil: ureq prints what it sends at its most verbose, so it is given a name in their place, which
//! becomes the credentials again just before the bytes leave.

use std::{
    collections::{HashMap, hash_map::RandomState},
    fmt,
    hash::BuildHasher,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use http::{HeaderMap, HeaderValue, header::AUTHORIZATION};
use lease_proto::access::Secret;
use ureq::unversioned::transport::{Buffers, ConnectionDetails, Connector, NextTimeout, Transport};

/// How each name begins.
const PREFIX: &str = "lease-veiled-";
/// How long each name is.
const LENGTH: usize = PREFIX.len() + 32;

/// What is veiled in requests that are under way.
#[derive(Clone, Default)]
pub(crate) struct Veil(Arc<Shared>);

#[derive(Default)]
struct Shared {
    hidden: Mutex<HashMap<String, HeaderValue>>,
    count: AtomicU64,
    /// Makes names that nobody can guess: a name in a body must not be taken for one.
    keys: RandomState,
}

impl Veil {
    /// Puts a name in the place of a request's credentials, until what is returned is dropped.
    pub(crate) fn hide(&self, headers: &mut HeaderMap) -> Hidden {
        let hidden = headers.get_mut(AUTHORIZATION).map(|value| {
            let count = self.0.count.fetch_add(1, Ordering::Relaxed);
            let key = |part: u64| self.0.keys.hash_one((count, part));
            let name = format!("{PREFIX}{:016x}{:016x}", key(0), key(1));
            let stand_in = HeaderValue::from_str(&name).expect("letters, digits and dashes");
            let credentials = std::mem::replace(value, stand_in);
            self.all().insert(name.clone(), credentials);
            name
        });
        Hidden {
            veil: self.clone(),
            name: hidden,
        }
    }

    /// Returns what is to be sent instead, if there is a name in it.
    fn reveal(&self, bytes: &[u8]) -> Option<Vec<u8>> {
        let all = self.all();
        // A Lease may be called something that begins like a name, and its path comes first.
        bytes.windows(LENGTH).enumerate().find_map(|(at, window)| {
            let is_candidate = window.starts_with(PREFIX.as_bytes());
            let name = is_candidate.then(|| std::str::from_utf8(window).ok())??;
            let credentials = all.get(name)?;
            Some([&bytes[..at], credentials.as_bytes(), &bytes[at + LENGTH..]].concat())
        })
    }

    fn all(&self) -> MutexGuard<'_, HashMap<String, HeaderValue>> {
        self.0.hidden.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Veil {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Veil").finish_non_exhaustive()
    }
}

/// Forgets the credentials of a request when it is over.
#[derive(Debug)]
pub(crate) struct Hidden {
    veil: Veil,
    name: Option<String>,
}

impl Drop for Hidden {
    fn drop(&mut self) {
        if let Some(name) = &self.name {
            self.veil.all().remove(name);
        }
    }
}

impl<In: Transport> Connector<In> for Veil {
    type Out = Revealing<In>;

    fn connect(
        &self,
        _details: &ConnectionDetails<'_>,
        chained: Option<In>,
    ) -> Result<Option<Self::Out>, ureq::Error> {
        let veil = self.clone();
        Ok(chained.map(|inner| Revealing { inner, veil }))
    }
}

/// A connection on which names become credentials.
#[derive(Debug)]
pub(crate) struct Revealing<T> {
    inner: T,
    veil: Veil,
}

impl<T: Transport> Transport for Revealing<T> {
    fn buffers(&mut self) -> &mut dyn Buffers {
        self.inner.buffers()
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), ureq::Error> {
        let Some(revealed) = self.veil.reveal(&self.inner.buffers().output()[..amount]) else {
            return self.inner.transmit_output(amount, timeout);
        };
        let whole = Secret::new(revealed);
        let most = self.inner.buffers().output().len();
        for part in whole.expose().chunks(most) {
            self.inner.buffers().output()[..part.len()].copy_from_slice(part);
            self.inner.transmit_output(part.len(), timeout)?;
        }
        // Not left where the next request, or a message about it, is put together.
        self.inner.buffers().output().fill(0);
        Ok(())
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, ureq::Error> {
        self.inner.await_input(timeout)
    }

    fn is_open(&mut self) -> bool {
        self.inner.is_open()
    }

    fn is_tls(&self) -> bool {
        self.inner.is_tls()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_becomes_the_credentials_wherever_else_something_like_it_stands() {
        let (veil, mut headers) = (Veil::default(), HeaderMap::new());
        headers.insert(AUTHORIZATION, HeaderValue::from_static("Bearer secret"));
        let hidden = veil.hide(&mut headers);
        let stand_in = headers[AUTHORIZATION].as_bytes().to_vec();
        assert_eq!(stand_in.len(), LENGTH);
        let path = format!("GET /{PREFIX}demo/{PREFIX}{} ", "0".repeat(40));
        let sent = [path.as_bytes(), &stand_in, b"\r\n\r\n"].concat();
        let right = [path.as_bytes(), b"Bearer secret\r\n\r\n"].concat();
        assert_eq!(veil.reveal(&sent), Some(right));
        assert_eq!(veil.reveal(path.as_bytes()), None);
        drop(hidden);
        assert_eq!(veil.reveal(&sent), None);
    }
}
