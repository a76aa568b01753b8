//! Identifiers from a seed: uids and the endings of generated names.

use serde::{Deserialize, Serialize};

/// What the server writes for chance. The same seed gives the same identifiers in the same order.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(transparent)]
pub(super) struct Uids(u64);

impl Uids {
    /// Starts from a seed.
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A uid: a random UUID in form.
    pub(super) fn uid(&mut self) -> String {
        let high = self.next();
        let low = self.next();
        format!(
            "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
            high >> 32,
            (high >> 16) & 0xffff,
            high & 0xfff,
            0x8000 | (low >> 48) & 0x3fff,
            low & 0xffff_ffff_ffff
        )
    }

    /// The five characters that follow a `generateName`.
    pub(super) fn ending(&mut self) -> String {
        const ALPHABET: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";
        let mut bits = self.next();
        let mut ending = String::with_capacity(5);
        for _ in 0..5 {
            let index = usize::try_from(bits % 27).unwrap_or(0);
            ending.push(char::from(ALPHABET.get(index).copied().unwrap_or(b'b')));
            bits /= 27;
        }
        ending
    }

    /// The next number of splitmix64.
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}
