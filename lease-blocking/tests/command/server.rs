//! An API server over TLS that lets in whoever bears a token.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::TcpListener,
    sync::{Arc, Mutex, MutexGuard},
    thread,
    time::{Duration, SystemTime},
};

use lease_blocking::proto::server::{Answer, ApiServer, WatchId, WatchOutput};
use rcgen::CertifiedKey;
use rustls::{ServerConfig, ServerConnection, StreamOwned, crypto::ring, pki_types::PrivateKeyDer};

pub(crate) struct Server {
    pub(crate) url: String,
    /// Its certificate, which is its own authority.
    pub(crate) certificate: String,
}

impl Server {
    /// Refuses all with the status, if one is given, and repeats what it was sent.
    pub(crate) fn start(token: &str, refusal: Option<&'static str>) -> Self {
        let api = ApiServer::builder().admin(token, "admin").build();
        Self::behind(api, refusal)
    }

    /// Lets this API server decide who may do what.
    pub(crate) fn serving(api: ApiServer) -> Self {
        Self::behind(api, None)
    }

    fn behind(api: ApiServer, refusal: Option<&'static str>) -> Self {
        let CertifiedKey { cert, signing_key } =
            rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let key = PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![cert.der().clone()], key);
        let config = Arc::new(config.unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let door = Arc::new(Door {
            refusal,
            api: Mutex::new(api),
        });
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (door, config) = (Arc::clone(&door), Arc::clone(&config));
                thread::spawn(move || {
                    let connection = ServerConnection::new(config).unwrap();
                    // An error is the client's going away, or its not believing the certificate.
                    door.serve(StreamOwned::new(connection, stream)).ok()
                });
            }
        });
        Self {
            url: format!("https://localhost:{port}"),
            certificate: cert.pem(),
        }
    }
}

struct Door {
    refusal: Option<&'static str>,
    api: Mutex<ApiServer>,
}

impl Door {
    fn api(&self) -> MutexGuard<'_, ApiServer> {
        self.api.lock().unwrap()
    }

    fn serve(&self, stream: impl Read + Write) -> io::Result<()> {
        let mut stream = BufReader::new(stream);
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line)? == 0 {
                return Ok(());
            }
            let mut words = line.split(' ');
            let mut request = http::Request::builder()
                .method(words.next().unwrap_or_default())
                .uri(words.next().unwrap_or_default());
            let mut length = 0;
            let mut echo = String::new();
            loop {
                let mut line = String::new();
                stream.read_line(&mut line)?;
                echo.extend(
                    line.trim_end()
                        .split(' ')
                        .map(|word| format!(" {word} is {word},")),
                );
                let Some((name, value)) = line.trim_end().split_once(": ") else {
                    break;
                };
                if name.eq_ignore_ascii_case("content-length") {
                    length = value.parse().unwrap_or_default();
                }
                request = request.header(name, value);
            }
            let mut body = vec![0; length];
            stream.read_exact(&mut body)?;
            let answer = match self.refusal {
                Some(status) => {
                    let said = format!(
                        r#"{{"kind":"Status","status":"Failure","message":"what{echo} to me"}}"#
                    );
                    whole(stream.get_mut(), status, &said)?;
                    continue;
                }
                None => {
                    let request = request.body(body).map_err(io::Error::other)?;
                    self.api().handle(&request, SystemTime::now())
                }
            };
            match answer {
                Answer::Whole(answer) => {
                    let body = String::from_utf8_lossy(answer.body());
                    whole(stream.get_mut(), answer.status().as_str(), &body)?;
                }
                Answer::Watch(_, id) => return self.stream(stream.get_mut(), id),
            }
        }
    }

    /// Tells what happens until the stream is over, or the client is gone.
    fn stream(&self, out: &mut impl Write, id: WatchId) -> io::Result<()> {
        // Without a length: its end is that of the connection.
        write!(
            out,
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n"
        )?;
        loop {
            let output = self.api().poll_watch(id, SystemTime::now());
            match output {
                WatchOutput::Chunk(chunk) => out.write_all(&chunk)?,
                WatchOutput::Wait { .. } => thread::sleep(Duration::from_millis(10)),
                WatchOutput::End => return Ok(()),
            }
            out.flush()?;
        }
    }
}

fn whole(out: &mut impl Write, status: &str, body: &str) -> io::Result<()> {
    let length = body.len();
    write!(
        out,
        "HTTP/1.1 {status} \r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    )?;
    out.flush()
}
