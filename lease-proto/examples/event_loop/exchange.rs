//! One request and its answer over a socket that never blocks: HTTP/1.0, so that the answer ends where the connection does.

use std::io::{self, ErrorKind, Read, Write};

use http::header::AUTHORIZATION;
use lease_proto::{Request, RequestId};
use mio::{Interest, Poll, Token};

use crate::{connection::Connection, remote::Server};

/// No answer is longer than this.
const MOST: usize = 2 << 20;

/// A request under way.
#[derive(Debug)]
pub(crate) struct Exchange {
    id: RequestId,
    connection: Connection,
    unsent: Vec<u8>,
    received: Vec<u8>,
}

impl Exchange {
    /// Connects, and has the poll tell when the socket is ready.
    pub(crate) fn begin(request: &Request, server: &mut Server, poll: &Poll) -> io::Result<Self> {
        let unsent = written(request, server)?;
        let mut connection = server.connect()?;
        let interests = Interest::READABLE | Interest::WRITABLE;
        poll.registry()
            .register(connection.socket(), Token(0), interests)?;
        Ok(Self {
            id: request.id,
            connection,
            unsent,
            received: Vec::new(),
        })
    }

    pub(crate) fn id(&self) -> RequestId {
        self.id
    }

    /// Sends and receives what can be sent and received now. Returns the answer once it is whole.
    pub(crate) fn advance(&mut self) -> io::Result<Option<http::Response<Vec<u8>>>> {
        while !self.unsent.is_empty() {
            match self.connection.write(&self.unsent) {
                Ok(sent) => drop(self.unsent.drain(..sent)),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // The connection is not there yet, or not secure yet, or the socket is full.
                Err(error) if is_for_later(&error) => return Ok(None),
                Err(error) => return Err(error),
            }
        }
        let mut buffer = [0; 4096];
        loop {
            match self.connection.read(&mut buffer) {
                Ok(0) => return parse(&self.received).map(Some),
                Ok(read) => self.received.extend_from_slice(&buffer[..read]),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if is_for_later(&error) => return Ok(None),
                Err(error) => return Err(error),
            }
            if self.received.len() > MOST {
                return Err(io::Error::other("the answer has no end"));
            }
        }
    }
}

/// A request as it goes over the wire.
fn written(request: &Request, server: &mut Server) -> io::Result<Vec<u8>> {
    let authorization = server.authorization(request.reload_credentials);
    let authorization = authorization.map_err(io::Error::other)?;
    let http = &request.http;
    let (method, path, host) = (http.method(), http.uri(), server.url.authority());
    let path = format!("{}{path}", server.url.base_path());
    let mut bytes = format!("{method} {path} HTTP/1.0\r\nhost: {host}\r\n").into_bytes();
    let authorization = authorization.iter().map(|value| (&AUTHORIZATION, value));
    for (name, value) in http.headers().iter().chain(authorization) {
        bytes.extend_from_slice(name.as_str().as_bytes());
        bytes.extend_from_slice(b": ");
        bytes.extend_from_slice(value.as_bytes());
        bytes.extend_from_slice(b"\r\n");
    }
    let body = http.body();
    bytes.extend_from_slice(format!("content-length: {}\r\n\r\n", body.len()).as_bytes());
    bytes.extend_from_slice(body);
    Ok(bytes)
}

fn is_for_later(error: &io::Error) -> bool {
    [ErrorKind::WouldBlock, ErrorKind::NotConnected].contains(&error.kind())
}

/// Returns how long an answer is that only says that another one follows, if it is one.
fn interim(bytes: &[u8]) -> Option<usize> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut head = httparse::Response::new(&mut headers);
    let parsed = head.parse(bytes).ok()?;
    match (parsed, head.code) {
        (httparse::Status::Complete(length), Some(100 | 102..200)) => Some(length),
        _ => None,
    }
}

/// Takes an answer apart. One that is cut off is none: the length says so. Interim answers before it are passed over.
fn parse(bytes: &[u8]) -> io::Result<http::Response<Vec<u8>>> {
    let broken = |what: &str| io::Error::new(ErrorKind::InvalidData, what.to_owned());
    let mut bytes = bytes;
    while let Some(length) = interim(bytes) {
        bytes = &bytes[length..];
    }
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut head = httparse::Response::new(&mut headers);
    let parsed = head.parse(bytes).map_err(io::Error::other)?;
    let httparse::Status::Complete(length) = parsed else {
        return Err(broken("the connection ended within the headers"));
    };
    let body = bytes[length..].to_vec();
    let mut response = http::Response::builder().status(head.code.unwrap_or_default());
    for header in head.headers.iter() {
        let is_length = header.name.eq_ignore_ascii_case("content-length");
        if is_length && header.value != body.len().to_string().as_bytes() {
            return Err(broken("the answer is cut off"));
        }
        response = response.header(header.name, header.value);
    }
    response.body(body).map_err(io::Error::other)
}
