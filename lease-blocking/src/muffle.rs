//! Answers muffled: ureq prints what it reads at its most verbose, and who answers may repeat what was sent, credentials among
//! it. So bodies are enciphered before ureq has them and deciphered when it hands them out, in whatever form the secret is and
//! however it is cut up; in what ureq must understand, the head, the credentials are blotted out.

use std::{
    hash::{BuildHasher, RandomState},
    io::{self, Read},
};

use lease_proto::access::Echo;

/// What a body is enciphered and deciphered with. It need keep nothing from an attacker, but must not be guessed by a reader.
#[derive(Clone)]
pub(crate) struct Cipher {
    keys: RandomState,
    /// Another for each request.
    number: u64,
    at: u64,
    block: [u8; 8],
}

impl Cipher {
    /// Starts at the beginning of the body that answers the request of this number.
    pub(crate) fn new(keys: &RandomState, number: u64) -> Self {
        Self {
            keys: keys.clone(),
            number,
            at: 0,
            block: [0; 8],
        }
    }

    fn apply(&mut self, bytes: &mut [u8]) {
        for byte in bytes {
            let place = (self.at % 8) as usize;
            if place == 0 {
                self.block = self
                    .keys
                    .hash_one(("body", self.number, self.at))
                    .to_le_bytes();
            }
            *byte ^= self.block[place];
            self.at += 1;
        }
    }
}

/// A body that comes out as it was sent.
pub(crate) struct Clear<R> {
    inner: R,
    cipher: Option<Cipher>,
}

impl<R> Clear<R> {
    /// Without a cipher it is clear as it is.
    pub(crate) fn new(inner: R, cipher: Option<Cipher>) -> Self {
        Self { inner, cipher }
    }
}

impl<R: Read> Read for Clear<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let amount = self.inner.read(buffer)?;
        if let Some(cipher) = &mut self.cipher {
            cipher.apply(&mut buffer[..amount]);
        }
        Ok(amount)
    }
}

/// One answer on its way to ureq.
///
/// It must find the same bytes to be the body as ureq does. Where it does not, what comes out is no Lease, and no secret is told.
pub(crate) struct Muffle {
    cipher: Cipher,
    echo: Echo,
    place: Place,
}

enum Place {
    /// In a head, or before it.
    Head,
    /// In a body that has no more form.
    Body,
    /// In the line that says how long the next chunk is: as far as it has been read.
    Size(u64),
    /// In what else stands on that line.
    Extension(u64),
    /// In a chunk, of which so much is left.
    Chunk(u64),
    /// At the end of the line after it.
    ChunkEnd,
    Trailers,
}

impl Muffle {
    pub(crate) fn new(cipher: Cipher, echo: Echo) -> Self {
        Self {
            cipher,
            echo,
            place: Place::Head,
        }
    }

    /// Muffles what has not been consumed, of which the first bytes may be `old`: those it was given before.
    pub(crate) fn apply(&mut self, bytes: &mut [u8], old: usize) {
        let mut rest = bytes;
        if !matches!(self.place, Place::Head) {
            rest = &mut rest[old..];
        }
        // A head that is not complete is not consumed, so it is here from its beginning.
        while matches!(self.place, Place::Head) {
            let Some(end) = end_of_head(rest) else {
                return;
            };
            let (head, more) = rest.split_at_mut(end);
            self.place = after(head);
            self.echo.blot(head);
            rest = more;
        }
        while !rest.is_empty() {
            let done = self.step(rest);
            rest = &mut rest[done..];
        }
    }

    /// Muffles some of the bytes, at least one, and returns how many.
    fn step(&mut self, bytes: &mut [u8]) -> usize {
        let first = bytes[0];
        match self.place {
            Place::Head | Place::Body => {
                self.cipher.apply(bytes);
                return bytes.len();
            }
            Place::Chunk(left) => {
                let length = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
                self.cipher.apply(&mut bytes[..length]);
                let left = left - length as u64;
                self.place = if left > 0 {
                    Place::Chunk(left)
                } else {
                    Place::ChunkEnd
                };
                return length;
            }
            Place::Size(size) | Place::Extension(size) if first == b'\n' => {
                self.place = if size > 0 {
                    Place::Chunk(size)
                } else {
                    Place::Trailers
                };
            }
            Place::Size(size) => match char::from(first).to_digit(16) {
                Some(digit) => {
                    self.place = Place::Size(size.saturating_mul(16).saturating_add(digit.into()));
                }
                None if first == b'\r' => {}
                None => self.place = Place::Extension(size),
            },
            // Nobody reads these.
            Place::Extension(_) | Place::Trailers if !matches!(first, b'\r' | b'\n') => {
                bytes[0] = b'x';
            }
            Place::ChunkEnd if first == b'\n' => self.place = Place::Size(0),
            Place::Extension(_) | Place::Trailers | Place::ChunkEnd => {}
        }
        1
    }
}

/// Where the head ends that these bytes begin with; `None` where it goes on.
fn end_of_head(bytes: &[u8]) -> Option<usize> {
    let (mut end, mut has_begun) = (0, false);
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        end += line.len();
        if !line.ends_with(b"\n") {
            return None;
        }
        match line.trim_ascii_end().is_empty() {
            true if has_begun => return Some(end),
            is_empty => has_begun |= !is_empty,
        }
    }
    None
}

/// What comes after a head.
fn after(head: &[u8]) -> Place {
    let head = head.trim_ascii_start();
    let (version, rest) = head.split_at_checked(8).unwrap_or((head, b""));
    // What is interim is followed by another.
    if rest.starts_with(b" 1") {
        return Place::Head;
    }
    let mut lines = head.split(|byte| *byte == b'\n');
    let is_chunked = lines.any(|line| {
        let line = line.to_ascii_lowercase();
        let value = line.strip_prefix(b"transfer-encoding:");
        value.is_some_and(|value| {
            let mut codings = value.split(|byte| *byte == b',');
            codings.any(|coding| coding.trim_ascii() == b"chunked")
        })
    });
    match is_chunked && version != b"HTTP/1.0" {
        true => Place::Size(0),
        false => Place::Body,
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "test code")]
mod tests {
    use lease_proto::access::{Secret, bearer};

    use super::*;

    const TOKEN: &str = "canary-1";

    /// What ureq is shown of an answer that comes in pieces, when it consumes all but a head that is not complete; and the cipher.
    fn shown<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> (Vec<u8>, Cipher) {
        let cipher = Cipher::new(&RandomState::new(), 7);
        let echo = Echo::of(&bearer(&Secret::from(TOKEN)).unwrap());
        let mut muffle = Muffle::new(cipher.clone(), echo);
        let (mut consumed, mut input) = (Vec::new(), Vec::new());
        for piece in pieces {
            let old = input.len();
            input.extend_from_slice(piece);
            muffle.apply(&mut input, old);
            if !matches!(muffle.place, Place::Head) {
                consumed.append(&mut input);
            }
        }
        consumed.append(&mut input);
        (consumed, cipher)
    }

    #[test]
    fn a_body_comes_out_as_it_was_however_it_is_cut_up_and_no_credentials_are_shown() {
        let hints = format!("\r\nHTTP/1.1 103 Early Hints\r\nLink: {TOKEN}\r\n\r\n");
        for head in [
            format!("HTTP/1.1 200 OK\r\nA: Bearer {TOKEN}\r\n\r\n"),
            format!("HTTP/1.0 200 OK\nTransfer-Encoding: chunked\nA: {TOKEN}\n\n"),
        ] {
            let whole = format!("{hints}{head}I say {TOKEN}");
            for size in 1..whole.len() {
                let (mut shown, mut cipher) = shown(whole.as_bytes().chunks(size));
                let (muffled, body) = shown.split_at_mut(hints.len() + head.len());
                let muffled = String::from_utf8(muffled.to_vec()).unwrap();
                assert_eq!(muffled.matches("********").count(), 2, "{muffled}");
                assert_ne!(&body[6..], TOKEN.as_bytes());
                cipher.apply(body);
                assert_eq!(body, format!("I say {TOKEN}").as_bytes());
            }
        }
    }

    #[test]
    fn of_a_body_in_chunks_the_form_stays_and_what_is_in_it_does_not() {
        let head = "HTTP/1.1 200 OK\r\nTRANSFER-ENCODING: x, Chunked\r\n\r\n";
        // Where ureq must understand what it reads, what it is shown; the rest is the body.
        let parts = [
            (format!("5;e={TOKEN}\r\n"), Some("5;xxxxxxxxxx\r\n")),
            ("canar".to_owned(), None),
            ("\r\nC\r\n".to_owned(), Some("\r\nC\r\n")),
            (format!("y-1 {TOKEN}"), None),
            (
                format!("\r\n0\r\nT: {TOKEN}\r\n\r\n"),
                Some("\r\n0\r\nxxxxxxxxxxx\r\n\r\n"),
            ),
        ];
        let body: String = parts.iter().map(|(part, _)| part.as_str()).collect();
        let whole = format!("{head}{body}");
        for size in 1..whole.len() {
            let (shown, mut cipher) = shown(whole.as_bytes().chunks(size));
            let mut rest = shown.strip_prefix(head.as_bytes()).unwrap();
            for (part, expected) in &parts {
                let (muffled, more) = rest.split_at(part.len());
                match expected {
                    Some(expected) => assert_eq!(muffled, expected.as_bytes()),
                    None => {
                        assert_ne!(muffled, part.as_bytes());
                        let mut clear = muffled.to_vec();
                        cipher.apply(&mut clear);
                        assert_eq!(clear, part.as_bytes());
                    }
                }
                rest = more;
            }
            assert_eq!(rest, b"");
        }
    }
}
