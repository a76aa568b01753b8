//! Changes as they happen: a request whose answer goes on, and its lines.

use std::time::Duration;

use http::{Method, Response};
use serde::Deserialize;

use super::{ApiError, EVERYWHERE, collection, render};
use crate::{
    call::MAX_BODY,
    refusal::Verb,
    wire::{Lease, LeaseName, Namespace, ResourceVersion},
};

/// What a watch tells.
///
/// ```
/// use lease_proto::plain::WatchEvent;
///
/// fn tell(event: &WatchEvent) {
///     match event {
///         WatchEvent::Added(lease) | WatchEvent::Modified(lease) => {
///             println!("{}: {:?}", lease.metadata.name, lease.spec.holder());
///         }
///         WatchEvent::Deleted(lease) => println!("{} is gone", lease.metadata.name),
///         _ => {}
///     }
/// }
/// ```
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq)]
pub enum WatchEvent {
    /// There is a Lease: since just now, or one of those that a watch begins with.
    Added(Box<Lease>),
    /// A Lease is now like this.
    Modified(Box<Lease>),
    /// A Lease is gone, and was like this.
    Deleted(Box<Lease>),
    /// All up to this version has been told.
    Bookmark(ResourceVersion),
}

/// Renders a watch of the Leases of a namespace, or without one of all namespaces; with `name`, of one of that name.
///
/// `from` is the version after which changes are told; without it the watch begins with what there is. The server is asked to end
/// after `length`, in whole seconds.
pub fn watch(
    namespace: Option<&Namespace>,
    name: Option<&LeaseName>,
    from: Option<&ResourceVersion>,
    length: Duration,
) -> http::Request<Vec<u8>> {
    let leases = namespace.map_or_else(|| EVERYWHERE.to_owned(), collection);
    let mut path = format!(
        "{leases}?watch=true&allowWatchBookmarks=true&timeoutSeconds={}",
        length.as_secs().max(1)
    );
    if let Some(name) = name {
        path.push_str(&format!("&fieldSelector=metadata.name%3D{name}"));
    }
    // Versions are numbers; what is none must not become another parameter.
    if let Some(from) = from.and_then(ResourceVersion::number) {
        path.push_str(&format!("&resourceVersion={from}"));
    }
    render(Method::GET, &path, Vec::new())
}

/// Reads the answer to a [`watch`] that is none: its body is there as a whole.
///
/// Of the ways [`ApiError::Expired`] says that `from` is forgotten: watch again without it.
pub fn watch_refused(namespace: Option<&Namespace>, response: &Response<Vec<u8>>) -> ApiError {
    let namespace = namespace.map_or("", Namespace::as_str);
    ApiError::refused(Verb::Watch, namespace, "", response)
}

/// The lines of a watch, put together from pieces as they come.
///
/// ```
/// use lease_proto::plain::{WatchEvent, WatchLines};
///
/// let mut lines = WatchLines::default();
/// lines.push(br#"{"type":"ADDED","object":{"kind":"Lease","#);
/// assert!(lines.next_event(None).is_none(), "half a line tells nothing");
/// lines.push(b"\"metadata\":{\"name\":\"leader\",\"resourceVersion\":\"7\"}}}\n");
/// let event = lines.next_event(None).expect("a whole line")?;
/// assert!(matches!(event, WatchEvent::Added(lease) if lease.metadata.name == "leader"));
/// # Ok::<(), lease_proto::plain::ApiError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct WatchLines {
    bytes: Vec<u8>,
    /// How much of them has been looked through without finding an end.
    searched: usize,
}

impl WatchLines {
    /// Takes the next piece.
    pub fn push(&mut self, piece: &[u8]) {
        self.bytes.extend_from_slice(piece);
    }

    /// Returns what the next whole line tells; `None` where there is none yet.
    ///
    /// # Errors
    ///
    /// The server ended the watch with an error, [`ApiError::Expired`] among the ways, or the line tells nothing. Either way
    /// nothing that follows counts: watch again.
    pub fn next_event(
        &mut self,
        namespace: Option<&Namespace>,
    ) -> Option<Result<WatchEvent, ApiError>> {
        loop {
            let rest = self.bytes.get(self.searched..).unwrap_or_default();
            let Some(end) = rest.iter().position(|byte| *byte == b'\n') else {
                self.searched = self.bytes.len();
                let is_too_long = self.bytes.len() > MAX_BODY;
                return is_too_long.then_some(Err(UNREADABLE));
            };
            let line: Vec<u8> = self.bytes.drain(..=self.searched + end).collect();
            self.searched = 0;
            // Empty ones say nothing.
            if !line.trim_ascii().is_empty() {
                return Some(event(namespace, &line));
            }
        }
    }
}

fn event(namespace: Option<&Namespace>, line: &[u8]) -> Result<WatchEvent, ApiError> {
    // The kind of the object depends on the type of the event, so that is read first.
    let Kind { kind } = read(line)?;
    let lease = || {
        let Event::<Lease> { object } = read(line)?;
        let is_lease =
            !object.metadata.name.is_empty() && object.metadata.resource_version.is_some();
        is_lease.then(|| Box::new(object)).ok_or(UNREADABLE)
    };
    match kind.as_str() {
        "ADDED" => lease().map(WatchEvent::Added),
        "MODIFIED" => lease().map(WatchEvent::Modified),
        "DELETED" => lease().map(WatchEvent::Deleted),
        "BOOKMARK" => {
            let Event::<Marked> { object } = read(line)?;
            let version = ResourceVersion::new(object.metadata.resource_version);
            Ok(WatchEvent::Bookmark(version))
        }
        "ERROR" => {
            let Event::<Failed> { object } = read(line)?;
            let status = http::StatusCode::from_u16(object.code).map_err(|_| UNREADABLE)?;
            let Event::<serde_json::Value> { object } = read(line)?;
            let mut response = Response::new(object.to_string().into_bytes());
            *response.status_mut() = status;
            Err(watch_refused(namespace, &response))
        }
        _ => Err(UNREADABLE),
    }
}

fn read<'a, T: Deserialize<'a>>(line: &'a [u8]) -> Result<T, ApiError> {
    serde_json::from_slice(line).map_err(|_| UNREADABLE)
}

#[derive(Deserialize)]
struct Kind {
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Deserialize)]
struct Event<T> {
    object: T,
}

#[derive(Deserialize)]
struct Marked {
    metadata: Mark,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Mark {
    resource_version: String,
}

#[derive(Deserialize)]
struct Failed {
    code: u16,
}

const UNREADABLE: ApiError = ApiError::Unreadable {
    status: http::StatusCode::OK,
};

#[cfg(test)]
mod tests {
    use super::*;

    const LEASE: &str =
        r#"{"metadata":{"name":"a","namespace":"team","resourceVersion":"7","uid":"u"},"spec":{}}"#;

    fn told(lines: &str, split: usize) -> Vec<Result<WatchEvent, ApiError>> {
        let mut watch = WatchLines::default();
        let mut told = Vec::new();
        for piece in lines.as_bytes().chunks(split) {
            watch.push(piece);
            while let Some(event) = watch.next_event(None) {
                told.push(event);
            }
        }
        told
    }

    #[test]
    fn lines_tell_the_same_however_they_are_split() {
        let lines = format!(
            "{{\"type\":\"ADDED\",\"object\":{LEASE}}}\n{{\"type\":\"MODIFIED\",\"object\":{LEASE}}}\n\
             {{\"type\":\"BOOKMARK\",\"object\":{{\"metadata\":{{\"resourceVersion\":\"9\"}}}}}}\n\
             {{\"type\":\"DELETED\",\"object\":{LEASE}}}\n{{\"type\":\"ADD"
        );
        let whole = told(&lines, lines.len());
        let [added, modified, bookmark, deleted] = whole.as_slice() else {
            panic!("{whole:?}");
        };
        assert!(matches!(added, Ok(WatchEvent::Added(lease)) if lease.metadata.name == "a"));
        assert!(matches!(modified, Ok(WatchEvent::Modified(_))));
        assert!(matches!(deleted, Ok(WatchEvent::Deleted(_))));
        assert!(
            matches!(bookmark, Ok(WatchEvent::Bookmark(version)) if version.number() == Some(9))
        );
        for split in 1..lines.len() {
            assert_eq!(told(&lines, split), whole, "{split}");
        }
    }

    #[test]
    fn an_error_within_is_told_and_a_version_that_is_forgotten_from_others() {
        let error = |code: u16| {
            format!(
                "{{\"type\":\"ERROR\",\"object\":{{\"kind\":\"Status\",\"code\":{code},\"message\":\"too old\"}}}}\n"
            )
        };
        let gone = told(&error(410), 1_000);
        assert!(
            matches!(gone.as_slice(), [Err(ApiError::Expired(_))]),
            "{gone:?}"
        );
        let broken = told(&error(500), 1_000);
        assert!(
            matches!(broken.as_slice(), [Err(ApiError::Server(_))]),
            "{broken:?}"
        );
    }

    #[test]
    fn what_is_no_line_of_a_watch_is_an_error() {
        for line in [
            "<html>\n",
            "{}\n",
            "{\"type\":\"ADDED\"}\n",
            "{\"type\":\"ADDED\",\"object\":{}}\n",
            "{\"type\":\"ERROR\",\"object\":{\"code\":1}}\n",
            "{\"type\":\"OTHER\",\"object\":{}}\n",
        ] {
            assert!(matches!(told(line, 1_000).as_slice(), [Err(_)]), "{line}");
        }
        let mut endless = WatchLines::default();
        endless.push(&vec![b'x'; MAX_BODY]);
        assert_eq!(endless.next_event(None), None);
        endless.push(b"x");
        assert_eq!(endless.next_event(None), Some(Err(UNREADABLE)));
    }

    #[test]
    fn empty_lines_say_nothing() {
        assert_eq!(told("\n\r\n \n", 1_000), []);
    }

    #[test]
    fn a_watch_is_asked_for_as_narrowly_as_possible() {
        let (namespace, name) = (
            Namespace::new("team").unwrap(),
            LeaseName::new("a").unwrap(),
        );
        let length = Duration::from_secs(300);
        let uri = |request: http::Request<Vec<u8>>| request.uri().to_string();
        let all = uri(watch(None, None, None, length));
        assert_eq!(
            all,
            "/apis/coordination.k8s.io/v1/leases?watch=true&allowWatchBookmarks=true&timeoutSeconds=300"
        );
        let from = ResourceVersion::new("12".to_owned());
        let one = uri(watch(Some(&namespace), Some(&name), Some(&from), length));
        assert!(one.starts_with("/apis/coordination.k8s.io/v1/namespaces/team/leases?"));
        assert!(
            one.ends_with("&fieldSelector=metadata.name%3Da&resourceVersion=12"),
            "{one}"
        );
        let odd = ResourceVersion::new("1&limit=1".to_owned());
        assert!(!uri(watch(None, None, Some(&odd), length)).contains("limit"));
    }
}
