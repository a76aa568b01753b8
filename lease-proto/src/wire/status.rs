//! The `Status` with which the API server explains a refusal, read as leniently as it is written.

use serde::{Deserialize, Deserializer};

/// Why a request was refused.
///
/// Every field may be missing: overload answers are plain text, and timeouts come without a kind. What happened is
/// decided by the status code of the answer; this only says more about it.
///
/// ```
/// use lease_proto::wire::Status;
///
/// let status = Status::read(br#"{"kind":"Status","reason":"AlreadyExists"}"#);
/// assert!(status.is_already_exists());
/// assert_eq!(Status::read(b"overloaded"), Status::default());
/// ```
#[non_exhaustive]
#[derive(Clone, Debug, Default, Deserialize, Eq, Hash, PartialEq)]
#[serde(default, rename_all = "camelCase")]
pub struct Status {
    /// The reason in one word, such as `AlreadyExists`; empty where none was given.
    #[serde(deserialize_with = "lenient")]
    pub reason: String,
    /// The reason in a sentence; empty where none was given.
    #[serde(deserialize_with = "lenient")]
    pub message: String,
    /// What the refusal is about.
    #[serde(deserialize_with = "lenient")]
    pub details: StatusDetails,
}

impl Status {
    /// Reads a body, whatever it is.
    pub fn read(body: &[u8]) -> Self {
        serde_json::from_slice(body).unwrap_or_default()
    }

    /// Returns whether the request asked to create what exists.
    pub fn is_already_exists(&self) -> bool {
        self.reason == "AlreadyExists"
    }

    /// Returns whether what is missing is the namespace and not the object in it.
    pub fn is_about_namespaces(&self) -> bool {
        self.details.kind == "namespaces"
    }
}

/// What a refusal is about.
///
/// ```
/// use lease_proto::wire::Status;
///
/// let body = br#"{"kind":"Status","details":{"retryAfterSeconds":3}}"#;
/// assert_eq!(Status::read(body).details.retry_after_seconds, 3);
/// ```
#[non_exhaustive]
#[derive(Clone, Debug, Default, Deserialize, Eq, Hash, PartialEq)]
#[serde(default, rename_all = "camelCase")]
pub struct StatusDetails {
    /// The object's name.
    #[serde(deserialize_with = "lenient")]
    pub name: String,
    /// The kind of object, such as `leases`.
    #[serde(deserialize_with = "lenient")]
    pub kind: String,
    /// After how many seconds to try again.
    #[serde(deserialize_with = "lenient")]
    pub retry_after_seconds: u64,
}

fn lenient<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + serde::de::DeserializeOwned,
{
    let value: super::Json = Deserialize::deserialize(deserializer)?;
    Ok(value.read().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_is_no_status_says_nothing() {
        for body in [
            "",
            "Too many requests, please try again later.",
            "[1]",
            "null",
            "{\"reason\":7}",
        ] {
            assert_eq!(Status::read(body.as_bytes()), Status::default(), "{body}");
        }
    }

    #[test]
    fn one_odd_field_does_not_hide_the_others() {
        let status = Status::read(
            br#"{"kind":"Status","reason":"AlreadyExists","message":[],"details":null}"#,
        );
        assert!(status.is_already_exists());
        assert_eq!(status.message, "");
    }
}
