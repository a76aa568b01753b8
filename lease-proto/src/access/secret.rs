//! Bytes that must not be seen: redacted wherever they could be printed, wiped when dropped.

use std::fmt;

use zeroize::Zeroizing;

/// Bytes that must not be seen: a token, a password, a key.
///
/// `Debug` prints `Secret(..)`, there is no `Display`, and the memory is overwritten on drop. Copies that libraries
/// below make of it (an HTTP header on its way out) are outside its reach.
#[derive(Clone, Eq, PartialEq)]
pub struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    /// Takes the bytes over.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(Zeroizing::new(bytes.into()))
    }

    /// Shows the bytes. Keep what is made of them out of logs and errors.
    pub fn expose(&self) -> &[u8] {
        &self.0
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
