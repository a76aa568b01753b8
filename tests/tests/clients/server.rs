//! An HTTP/1.1 server on a loopback port that answers as a scenario tells it.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use rustls::{ServerConfig, ServerConnection, StreamOwned};

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    connections: Arc<AtomicUsize>,
}

/// A request that came.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    pub(crate) line: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

/// What to do with a request.
pub(crate) enum Answer {
    /// These bytes, and the connection stays open.
    Keep(Vec<u8>),
    /// These bytes, and the connection is closed.
    Close(Vec<u8>),
    /// These bytes, and then nothing for longer than anybody waits.
    Hang(Vec<u8>),
    /// One of these bytes at a time, with pauses, for ever.
    Drip(&'static [u8]),
    /// All of these bytes, again and again, as fast as somebody takes them.
    Flood(Vec<u8>),
}

type Behaviour = dyn Fn(&Seen) -> Answer + Send + Sync;

impl Server {
    pub(crate) fn start(behaviour: impl Fn(&Seen) -> Answer + Send + Sync + 'static) -> Self {
        Self::listen("127.0.0.1:0", None, Arc::new(behaviour)).unwrap()
    }

    pub(crate) fn start_tls(
        config: Arc<ServerConfig>,
        behaviour: impl Fn(&Seen) -> Answer + Send + Sync + 'static,
    ) -> Self {
        Self::listen("127.0.0.1:0", Some(config), Arc::new(behaviour)).unwrap()
    }

    pub(crate) fn listen(
        address: &str,
        tls: Option<Arc<ServerConfig>>,
        behaviour: Arc<Behaviour>,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        let server = Self {
            address: listener.local_addr()?,
            seen: Arc::default(),
            connections: Arc::default(),
        };
        let (seen, connections) = (Arc::clone(&server.seen), Arc::clone(&server.connections));
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                connections.fetch_add(1, Ordering::SeqCst);
                let (seen, behaviour, tls) =
                    (Arc::clone(&seen), Arc::clone(&behaviour), tls.clone());
                thread::spawn(move || match tls {
                    // An error is the client's going away, which scenarios provoke.
                    None => serve(stream, &seen, &*behaviour).ok(),
                    Some(config) => {
                        let connection = ServerConnection::new(config).unwrap();
                        serve(StreamOwned::new(connection, stream), &seen, &*behaviour).ok()
                    }
                });
            }
        });
        Ok(server)
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The address by name, for certificates.
    pub(crate) fn tls_url(&self) -> String {
        format!("https://localhost:{}", self.address.port())
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    pub(crate) fn last(&self) -> Seen {
        self.seen().pop().expect("no request came")
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

impl Seen {
    /// The request as the API server of lease-proto takes it.
    pub(crate) fn request(&self) -> http::Request<Vec<u8>> {
        let mut line = self.line.split(' ');
        let mut request = http::Request::builder()
            .method(line.next().unwrap())
            .uri(line.next().unwrap());
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        request.body(self.body.clone()).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }
}

/// An answer with this status line and body.
pub(crate) fn answer(status: &str, body: &str) -> Vec<u8> {
    answer_with(status, body.as_bytes())
}

/// An answer with this status line, or what else stands there, and body.
pub(crate) fn answer_with(status: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n");
    [head.as_bytes(), body].concat()
}

/// What the API server of lease-proto answers, as bytes. Nobody watches.
pub(crate) fn rendered(answer: lease_proto::server::Answer) -> Vec<u8> {
    let lease_proto::server::Answer::Whole(response) = answer else {
        panic!("nobody watches")
    };
    let status = format!("{} X", response.status().as_u16());
    answer_with(&status, response.body())
}

pub(crate) fn ok() -> Answer {
    Answer::Keep(answer("200 OK", "{}"))
}

/// A port of this machine where nobody listens.
pub(crate) fn nobody() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
}

fn serve(
    stream: impl Read + Write,
    seen: &Mutex<Vec<Seen>>,
    behaviour: &Behaviour,
) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    while let Some(request) = read(&mut stream)? {
        let answer = behaviour(&request);
        seen.lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(request);
        let out = stream.get_mut();
        match answer {
            Answer::Keep(bytes) => out.write_all(&bytes)?,
            Answer::Close(bytes) => {
                out.write_all(&bytes)?;
                return out.flush();
            }
            Answer::Hang(bytes) => {
                out.write_all(&bytes)?;
                out.flush()?;
                thread::sleep(Duration::from_secs(600));
            }
            Answer::Drip(bytes) => loop {
                for byte in bytes {
                    out.write_all(&[*byte])?;
                    out.flush()?;
                    thread::sleep(Duration::from_millis(20));
                }
            },
            Answer::Flood(bytes) => loop {
                out.write_all(&bytes)?;
            },
        }
        out.flush()?;
    }
    Ok(())
}

fn read(stream: &mut impl BufRead) -> io::Result<Option<Seen>> {
    let mut seen = Seen::default();
    let mut line = String::new();
    while stream.read_line(&mut line)? > 0 {
        let text = line.trim_end().to_owned();
        line.clear();
        if text.is_empty() {
            let length = seen
                .header("content-length")
                .map_or(0, |length| length.parse().unwrap());
            seen.body = vec![0; length];
            stream.read_exact(&mut seen.body)?;
            return Ok(Some(seen));
        }
        match text.split_once(": ") {
            Some((name, value)) if !seen.line.is_empty() => {
                seen.headers
                    .push((name.to_ascii_lowercase(), value.to_owned()));
            }
            _ => seen.line = text,
        }
    }
    Ok(None)
}
