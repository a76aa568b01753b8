//! Names that the API server accepts, checked before they travel.

use std::{borrow::Cow, fmt};

use sha2::{Digest, Sha256};

/// The name of a Lease: a lowercase RFC 1123 subdomain of at most 253 bytes.
///
/// ```
/// use lease_proto::LeaseName;
///
/// assert_eq!(LeaseName::new("db-migration")?.as_str(), "db-migration");
/// assert!(LeaseName::new("DB migration").is_err());
/// # Ok::<(), lease_proto::NameError>(())
/// ```
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct LeaseName(Box<str>);

impl LeaseName {
    /// Checks a name.
    ///
    /// # Errors
    ///
    /// Fails where the API server would refuse the name.
    pub fn new(name: impl Into<String>) -> Result<Self, NameError> {
        checked("lease name", name.into(), 253, |name| {
            name.split('.').all(is_label)
        })
        .map(Self)
    }

    /// Makes a name from any key: `prefix`, a dash, and the first 16 bytes of the key's SHA-256 in hex.
    ///
    /// The same key gives the same name on every machine, and two keys give two names for all practical purposes
    /// (128 bits). A prefix that is empty or ends in `-` or `.` gets no dash.
    ///
    /// # Errors
    ///
    /// Fails where `prefix` does not begin a valid name or is longer than 220 bytes.
    ///
    /// ```
    /// use lease_proto::LeaseName;
    ///
    /// let name = LeaseName::hashed("shard", "Customers/Zürich #4")?;
    /// assert_eq!(name.as_str(), "shard-90ded8001c46ae238b57ccc393975c81");
    /// # Ok::<(), lease_proto::NameError>(())
    /// ```
    pub fn hashed(prefix: &str, key: impl AsRef<[u8]>) -> Result<Self, NameError> {
        let dash = if prefix.is_empty() || prefix.ends_with(['-', '.']) {
            ""
        } else {
            "-"
        };
        Self::new(format!("{prefix}{dash}{}", hex(key.as_ref(), 16)))
    }

    /// Makes the name under which netbird's proxy locks the certificate of `domain`: `cert-lock-` and the first eight
    /// bytes of the domain's SHA-256 in hex, so that both exclude each other.
    pub fn cert_lock(domain: &str) -> Self {
        Self(format!("cert-lock-{}", hex(domain.as_bytes(), 8)).into())
    }

    /// Returns the name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The name of a namespace: a lowercase RFC 1123 label of at most 63 bytes.
///
/// ```
/// use lease_proto::Namespace;
///
/// assert_eq!(Namespace::new("kube-system")?.as_str(), "kube-system");
/// assert!(Namespace::new("kube.system").is_err(), "unlike the name of a Lease it has no dots");
/// # Ok::<(), lease_proto::NameError>(())
/// ```
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Namespace(Box<str>);

impl Namespace {
    /// Checks a name.
    ///
    /// # Errors
    ///
    /// Fails where the API server would refuse the name.
    pub fn new(name: impl Into<String>) -> Result<Self, NameError> {
        checked("namespace", name.into(), 63, is_label).map(Self)
    }

    /// Returns the name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Who claims a Lease: one line of text, not empty and at most 253 bytes long, without control characters.
///
/// The API server would take any text; this is what every client can show and compare.
///
/// ```
/// use lease_proto::Identity;
///
/// assert_eq!(Identity::new("replica-1")?.as_str(), "replica-1");
/// assert!(Identity::new("two\nlines").is_err());
/// # Ok::<(), lease_proto::NameError>(())
/// ```
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Identity(Box<str>);

impl Identity {
    /// Checks an identity.
    ///
    /// # Errors
    ///
    /// Fails where it is empty, too long, or holds a control character.
    pub fn new(identity: impl Into<String>) -> Result<Self, NameError> {
        checked("identity", identity.into(), 253, is_line).map(Self)
    }

    /// Checks the key of some work, which is a line of the same kind.
    pub(crate) fn key(key: String) -> Result<Self, NameError> {
        checked("key", key, 253, is_line).map(Self)
    }

    /// Returns the identity.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Appends what makes it unique among the processes that were given the same one.
    pub(crate) fn with_suffix(&self, suffix: u64) -> Self {
        Self(format!("{}_{suffix:016x}", self.0).into())
    }
}

macro_rules! text {
    ($($name:ident),*) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0.into()
            }
        }

        impl std::str::FromStr for $name {
            type Err = NameError;

            fn from_str(name: &str) -> Result<Self, NameError> {
                Self::new(name)
            }
        }
    )*};
}

text!(Identity, LeaseName, Namespace);

/// A name that the API server would refuse, or that other clients could not handle.
///
/// ```
/// use lease_proto::{LeaseName, NameError};
///
/// let error: NameError = LeaseName::new("").unwrap_err();
/// println!("{error}"); // says what a name may be
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct NameError {
    what: &'static str,
    name: String,
    limit: usize,
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, name, limit } = self;
        let shown: Cow<'_, str> = if name.chars().count() > 80 {
            name.chars().take(77).chain("...".chars()).collect()
        } else {
            name.into()
        };
        if name.is_empty() {
            write!(f, "the {what} is empty: ")?;
        } else if name.len() > *limit {
            write!(f, "the {what} {shown:?} is {} bytes long: ", name.len())?;
        } else {
            write!(f, "the {what} {shown:?} cannot be used: ")?;
        }
        match *what {
            "identity" | "key" => write!(
                f,
                "it must be 1 to {limit} bytes long, without control characters or spaces at its ends"
            ),
            "namespace" => write!(
                f,
                "it must be 1 to {limit} lowercase letters, digits or '-', with a letter or digit at both ends"
            ),
            _ => write!(
                f,
                "it must be 1 to {limit} lowercase letters, digits, '-' or '.', with a letter or digit at both ends and \
                 around each '.'"
            ),
        }
    }
}

impl std::error::Error for NameError {}

fn checked(
    what: &'static str,
    name: String,
    limit: usize,
    is_valid: impl Fn(&str) -> bool,
) -> Result<Box<str>, NameError> {
    if !name.is_empty() && name.len() <= limit && is_valid(&name) {
        Ok(name.into())
    } else {
        Err(NameError { what, name, limit })
    }
}

/// Whether `text` is a line that every client can show, but for its length.
fn is_line(text: &str) -> bool {
    !text.chars().any(char::is_control) && text.trim() == text
}

/// Whether `text` is a lowercase RFC 1123 label, but for its length.
fn is_label(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    text.bytes().all(|byte| plain(byte) || byte == b'-')
        && text.bytes().next().is_some_and(plain)
        && text.bytes().next_back().is_some_and(plain)
}

fn hex(key: &[u8], bytes: usize) -> String {
    Sha256::digest(key)
        .iter()
        .take(bytes)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_that_the_api_server_refuses_are_refused() {
        let long = "a".repeat(254);
        for name in [
            "", "Upper", "a/b", "a_b", "-a", "a-", "a..b", ".a", "a.", "a b", "ä", "..", "%2e",
            &long,
        ] {
            assert!(LeaseName::new(name).is_err(), "{name:?}");
        }
        for name in ["a", "0", "a.b-c.0", &"a".repeat(253)] {
            assert!(LeaseName::new(name).is_ok(), "{name:?}");
        }
        assert!(Namespace::new("a.b").is_err());
        assert!(Namespace::new("a".repeat(64)).is_err());
        assert!(Namespace::new("a".repeat(63)).is_ok());
    }

    #[test]
    fn an_identity_is_one_line() {
        for identity in ["", "a\nb", "a\u{7f}", "a ", "\u{85}", &"x".repeat(254)] {
            assert!(Identity::new(identity).is_err(), "{identity:?}");
        }
        for identity in ["pod-7_1f", "host name", "Zoë", &"x".repeat(253)] {
            assert!(Identity::new(identity).is_ok(), "{identity:?}");
        }
    }

    #[test]
    fn a_hashed_name_is_the_start_of_the_sha_256() {
        // The SHA-256 of "abc" is from FIPS 180-2.
        assert_eq!(
            LeaseName::hashed("job", "abc").unwrap().as_str(),
            "job-ba7816bf8f01cfea414140de5dae2223"
        );
        assert_eq!(
            LeaseName::hashed("job-", "abc").unwrap().as_str(),
            "job-ba7816bf8f01cfea414140de5dae2223"
        );
        assert_eq!(
            LeaseName::cert_lock("abc").as_str(),
            "cert-lock-ba7816bf8f01cfea"
        );
        assert!(LeaseName::hashed("Job", "abc").is_err());
        assert!(LeaseName::hashed(&"j".repeat(221), "abc").is_err());
        assert!(LeaseName::hashed(&"j".repeat(220), "abc").is_ok());
    }

    #[test]
    fn errors_say_the_rule_and_the_value() {
        let error = LeaseName::new("DB/Migration").unwrap_err().to_string();
        assert!(
            error.contains("\"DB/Migration\"") && error.contains("lowercase"),
            "{error}"
        );
        let error = Identity::new("a\nb").unwrap_err().to_string();
        assert!(error.contains(r"a\nb") && !error.contains('\n'), "{error}");
    }
}
