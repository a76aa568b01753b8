//! Credentials behind a veil: ureq prints what it sends at its most verbose, so it is given a name in their place, which
//! becomes the credentials again just before the bytes leave. What comes back is [muffled](crate::muffle).

use std::{
    collections::{HashMap, hash_map::RandomState},
    fmt,
    hash::BuildHasher,
    io,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use http::{HeaderMap, HeaderValue, header::AUTHORIZATION};
use lease_proto::access::{Echo, Secret};
use ureq::unversioned::transport::{Buffers, ConnectionDetails, Connector, NextTimeout, Transport};

use crate::muffle::{Cipher, Muffle};

/// How each name begins.
const PREFIX: &str = "lease-veiled-";
/// How long each name is.
const LENGTH: usize = PREFIX.len() + 32;

/// What is veiled in requests that are under way.
#[derive(Clone, Default)]
pub(crate) struct Veil(Arc<Shared>);

#[derive(Default)]
struct Shared {
    hidden: Mutex<HashMap<String, Credentials>>,
    count: AtomicU64,
    /// Makes names that nobody can guess: a name in a body must not be taken for one.
    keys: RandomState,
}

/// What a name stands for, and the number of its request.
#[derive(Clone)]
struct Credentials {
    header: HeaderValue,
    number: u64,
}

impl Veil {
    /// Puts a name in the place of a request's credentials, until what is returned is dropped.
    pub(crate) fn hide(&self, headers: &mut HeaderMap) -> Hidden {
        let hidden = headers.get_mut(AUTHORIZATION).map(|value| {
            let count = self.0.count.fetch_add(1, Ordering::Relaxed);
            let key = |part: u64| self.0.keys.hash_one((count, part));
            let name = format!("{PREFIX}{:016x}{:016x}", key(0), key(1));
            let stand_in = HeaderValue::from_str(&name).expect("letters, digits and dashes");
            let header = std::mem::replace(value, stand_in);
            let credentials = Credentials {
                header,
                number: count,
            };
            self.all().insert(name.clone(), credentials);
            (name, count)
        });
        Hidden {
            veil: self.clone(),
            name: hidden,
        }
    }

    /// Returns what is to be sent instead, if there is a name in it, and what muffles the answer.
    fn reveal(&self, bytes: &[u8]) -> Option<(Vec<u8>, Muffle)> {
        let all = self.all();
        // A Lease may be called something that begins like a name, and its path comes first.
        bytes.windows(LENGTH).enumerate().find_map(|(at, window)| {
            let is_candidate = window.starts_with(PREFIX.as_bytes());
            let name = is_candidate.then(|| std::str::from_utf8(window).ok())??;
            let credentials = all.get(name)?;
            let header = credentials.header.as_bytes();
            let revealed = [&bytes[..at], header, &bytes[at + LENGTH..]].concat();
            let echo = Echo::of(&credentials.header);
            Some((revealed, Muffle::new(self.cipher(credentials.number), echo)))
        })
    }

    fn cipher(&self, number: u64) -> Cipher {
        Cipher::new(&self.0.keys, number)
    }

    fn all(&self) -> MutexGuard<'_, HashMap<String, Credentials>> {
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
    /// The name, and the request's number.
    name: Option<(String, u64)>,
}

impl Hidden {
    /// What the body of the answer is deciphered with.
    pub(crate) fn cipher(&self) -> Option<Cipher> {
        let (_, number) = self.name.as_ref()?;
        Some(self.veil.cipher(*number))
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        if let Some((name, _)) = &self.name {
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
        Ok(chained.map(|inner| Revealing {
            inner,
            veil,
            muffle: None,
            answered: false,
        }))
    }
}

/// A connection on which names become credentials, and what is said of them is muffled.
pub(crate) struct Revealing<T> {
    inner: T,
    veil: Veil,
    /// For the answer to the last request; none where that had no credentials.
    muffle: Option<Muffle>,
    /// Whether some of that answer has come: what is sent then is another request.
    answered: bool,
}

impl<T> fmt::Debug for Revealing<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Revealing").finish_non_exhaustive()
    }
}

impl<T: Transport> Revealing<T> {
    /// Muffles what has not been consumed, of which so many bytes are new. The buffers let nobody change what is in them, so all
    /// of it is taken out and put in again.
    fn muffle(&mut self, new: usize) -> Result<(), ureq::Error> {
        let Some(muffle) = &mut self.muffle else {
            return Ok(());
        };
        let buffers = self.inner.buffers();
        let mut input = Secret::new(buffers.input());
        let bytes = input.expose_mut();
        let length = bytes.len();
        muffle.apply(bytes, length - new);
        buffers.input_consume(length);
        let room = buffers.input_append_buf().get_mut(..length);
        let room = room.ok_or_else(|| io::Error::other("the buffer has shrunk"))?;
        room.copy_from_slice(bytes);
        buffers.input_appended(length);
        Ok(())
    }
}

impl<T: Transport> Transport for Revealing<T> {
    fn buffers(&mut self) -> &mut dyn Buffers {
        self.inner.buffers()
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), ureq::Error> {
        if std::mem::take(&mut self.answered) {
            self.muffle = None;
        }
        let revealed = self.veil.reveal(&self.inner.buffers().output()[..amount]);
        let Some((revealed, muffle)) = revealed else {
            return self.inner.transmit_output(amount, timeout);
        };
        self.muffle = Some(muffle);
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
        let before = self.inner.buffers().input().len();
        let has_come = self.inner.await_input(timeout)?;
        let new = self.inner.buffers().input().len().saturating_sub(before);
        if new > 0 {
            self.answered = true;
            self.muffle(new)?;
        }
        Ok(has_come)
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
        let reveal = |bytes| veil.reveal(bytes).map(|(revealed, _)| revealed);
        assert_eq!(reveal(&sent), Some(right));
        assert_eq!(reveal(path.as_bytes()), None);
        drop(hidden);
        assert_eq!(reveal(&sent), None);
    }
}
