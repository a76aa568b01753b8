//! Bytes that must not be seen: redacted wherever they could be printed, wiped when dropped.

use std::fmt;

use zeroize::Zeroizing;

/// Bytes that must not be seen: a token, a password, a key.
///
/// `Debug` prints `Secret(..)`, there is no `Display`, and the memory is overwritten on drop. So is all that the drivers make of
/// it: what files and plugins say, and the headers of requests. Out of reach are copies that are made below and above:
/// what hyper, ureq and rustls have in their buffers, rustls' own form of a private key, what the parser of kubeconfigs
/// keeps aside while it reads, the arguments and the environment of a plugin, and this process's environment.
///
/// ```
/// use lease_proto::access::Secret;
///
/// let token = Secret::from("t0p\n").trimmed();
/// assert_eq!(token.expose(), b"t0p");
/// assert_eq!(format!("{token:?}"), "Secret(..)");
/// ```
#[derive(Clone, Eq, PartialEq)]
pub struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    /// Takes the bytes over.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(Zeroizing::new(bytes.into()))
    }

    /// Makes an empty one, to be filled through [`expose_mut`](Self::expose_mut).
    pub fn with_capacity(capacity: usize) -> Self {
        Self::new(Vec::with_capacity(capacity))
    }

    /// Shows the bytes. Keep what is made of them out of logs and errors.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// Lets them be changed. What outgrows its capacity moves, and leaves a copy behind that nobody wipes.
    pub fn expose_mut(&mut self) -> &mut Vec<u8> {
        &mut self.0
    }

    /// Removes white space at both ends, such as the line feed that editors leave behind a token.
    #[must_use]
    pub fn trimmed(&self) -> Self {
        Self::new(self.0.trim_ascii())
    }

    /// Tells whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

impl From<Vec<u8>> for Secret {
    fn from(bytes: Vec<u8>) -> Self {
        Self::new(bytes)
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self::new(text)
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

impl<'de> serde::Deserialize<'de> for Secret {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_neither_the_bytes_nor_how_many() {
        assert_eq!(format!("{:?}", Secret::from("hunter2")), "Secret(..)");
        assert_eq!(format!("{:#?}", Secret::from("")), "Secret(..)");
    }

    #[test]
    fn white_space_around_it_goes_and_within_it_stays() {
        assert_eq!(Secret::from(" a b\r\n").trimmed(), Secret::from("a b"));
    }
}
