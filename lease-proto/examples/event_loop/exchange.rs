//! One request and its answer over a socket that never blocks: HTTP/1.0, so that the answer ends where the connection does.

use std::{
    io::{self, ErrorKind, Read, Write},
    net::SocketAddr,
};

use lease_proto::RequestId;
use mio::{Interest, Poll, Token, net::TcpStream};

/// No answer is longer than this.
const MOST: usize = 2 << 20;

/// A request under way.
#[derive(Debug)]
pub(crate) struct Exchange {
    id: RequestId,
    stream: TcpStream,
    unsent: Vec<u8>,
    received: Vec<u8>,
}

impl Exchange {
    /// Connects, and has the poll tell when the socket is ready.
    pub(crate) fn begin(
        address: SocketAddr,
        id: RequestId,
        request: &http::Request<Vec<u8>>,
        poll: &Poll,
    ) -> io::Result<Self> {
        let mut stream = TcpStream::connect(address)?;
        let interests = Interest::READABLE | Interest::WRITABLE;
        poll.registry().register(&mut stream, Token(0), interests)?;
        let (method, uri, body) = (request.method(), request.uri(), request.body());
        let mut unsent = format!("{method} {uri} HTTP/1.0\r\nhost: {address}\r\n").into_bytes();
        for (name, value) in request.headers() {
            unsent.extend_from_slice(name.as_str().as_bytes());
            unsent.extend_from_slice(b": ");
            unsent.extend_from_slice(value.as_bytes());
            unsent.extend_from_slice(b"\r\n");
        }
        unsent.extend_from_slice(format!("content-length: {}\r\n\r\n", body.len()).as_bytes());
        unsent.extend_from_slice(body);
        Ok(Self {
            id,
            stream,
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
            match self.stream.write(&self.unsent) {
                Ok(sent) => drop(self.unsent.drain(..sent)),
                // The connection is not there yet, or the socket is full.
                Err(error) if is_for_later(&error) => return Ok(None),
                Err(error) => return Err(error),
            }
        }
        let mut buffer = [0; 4096];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => return parse(&self.received).map(Some),
                Ok(read) => self.received.extend_from_slice(&buffer[..read]),
                Err(error) if is_for_later(&error) => return Ok(None),
                Err(error) => return Err(error),
            }
            if self.received.len() > MOST {
                return Err(io::Error::other("the answer has no end"));
            }
        }
    }
}

fn is_for_later(error: &io::Error) -> bool {
    [
        ErrorKind::WouldBlock,
        ErrorKind::NotConnected,
        ErrorKind::Interrupted,
    ]
    .contains(&error.kind())
}

/// Takes an answer apart. One that is cut off is none: the length says so. Interim answers before it are passed over.
fn parse(bytes: &[u8]) -> io::Result<http::Response<Vec<u8>>> {
    let broken = |what: &str| io::Error::new(ErrorKind::InvalidData, what.to_owned());
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut head = httparse::Response::new(&mut headers);
    let parsed = head.parse(bytes).map_err(io::Error::other)?;
    let httparse::Status::Complete(length) = parsed else {
        return Err(broken("the connection ended within the headers"));
    };
    if let Some(100 | 102..200) = head.code {
        return parse(&bytes[length..]);
    }
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
