//! Base64 with the standard alphabet (RFC 4648, section 4), both ways.

use super::Secret;

/// Encodes with padding.
pub(super) fn encode(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let word = chunk
            .iter()
            .fold(0, |word, byte| word << 8 | u32::from(*byte))
            << (8 * (3 - chunk.len()));
        for place in 0..4 {
            let sextet = (word >> (18 - 6 * place)) & 63;
            out.push(if place > chunk.len() {
                b'='
            } else {
                ALPHABET[sextet as usize]
            });
        }
    }
    out
}

/// Decodes, whatever white space stands between; `None` where it is not base64 with its padding.
pub(super) fn decode(text: &[u8]) -> Option<Secret> {
    let mut decoded = Secret::with_capacity(text.len() / 4 * 3);
    let out = decoded.expose_mut();
    let (mut word, mut sextets, mut padding) = (0_u32, 0_usize, 0_usize);
    for byte in text.iter().filter(|byte| !byte.is_ascii_whitespace()) {
        if *byte == b'=' {
            padding += 1;
            continue;
        }
        if padding > 0 {
            return None;
        }
        word = word << 6 | sextet(*byte)?;
        sextets += 1;
        if sextets.is_multiple_of(4) {
            out.extend_from_slice(&word.to_be_bytes()[1..]);
            word = 0;
        }
    }
    match (sextets % 4, padding) {
        (0, 0) => {}
        (2, 2) if word & 0xf == 0 => out.push((word >> 4) as u8),
        (3, 1) if word & 0x3 == 0 => out.extend_from_slice(&((word >> 2) as u16).to_be_bytes()),
        _ => return None,
    }
    Some(decoded)
}

fn sextet(byte: u8) -> Option<u32> {
    match byte {
        b'A'..=b'Z' => Some(u32::from(byte - b'A')),
        b'a'..=b'z' => Some(u32::from(byte - b'a') + 26),
        b'0'..=b'9' => Some(u32::from(byte - b'0') + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    }
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_vectors_of_the_rfc_go_both_ways() {
        for (plain, coded) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(encode(plain.as_bytes()), coded.as_bytes(), "{plain}");
            assert_eq!(
                decode(coded.as_bytes()),
                Some(Secret::from(plain)),
                "{coded}"
            );
        }
    }

    #[test]
    fn every_byte_survives_the_round_trip() {
        let all: Vec<u8> = (0..=255).collect();
        for length in 0..=all.len() {
            assert_eq!(
                decode(&encode(&all[..length])),
                Some(Secret::new(&all[..length]))
            );
        }
    }

    #[test]
    fn line_breaks_within_are_allowed() {
        assert_eq!(decode(b"Zm9v\nYmFy\n"), Some(Secret::from("foobar")));
    }

    #[test]
    fn what_is_not_base64_is_refused() {
        for text in [
            "Zg",
            "Zg=",
            "Zg===",
            "Z",
            "=",
            "Zm9v=",
            "Zh==",
            "Zm9=",
            "Zm9v-_==",
            "Z=g=",
            "-----BEGIN",
        ] {
            assert_eq!(decode(text.as_bytes()), None, "{text}");
        }
    }
}
