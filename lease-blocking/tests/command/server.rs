//! An API server over TLS that lets in whoever bears one token.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::TcpListener,
    sync::{Arc, Mutex},
    thread,
    time::SystemTime,
};

use lease_blocking::proto::server::{Answer, ApiServer};
use rcgen::CertifiedKey;
use rustls::{ServerConfig, ServerConnection, StreamOwned, crypto::ring, pki_types::PrivateKeyDer};

pub(crate) struct Server {
    pub(crate) url: String,
    /// Its certificate, which is its own authority.
    pub(crate) certificate: String,
}

impl Server {
    /// Refuses all with the status, if one is given.
    pub(crate) fn start(token: &str, refusal: Option<&'static str>) -> Self {
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
            authorization: format!("Bearer {token}"),
            refusal,
            api: Mutex::new(ApiServer::new()),
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
    authorization: String,
    refusal: Option<&'static str>,
    api: Mutex<ApiServer>,
}

impl Door {
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
            let mut is_known = false;
            loop {
                let mut line = String::new();
                stream.read_line(&mut line)?;
                let Some((name, value)) = line.trim_end().split_once(": ") else {
                    break;
                };
                if name.eq_ignore_ascii_case("authorization") {
                    is_known = value == self.authorization;
                    continue;
                }
                if name.eq_ignore_ascii_case("content-length") {
                    length = value.parse().unwrap_or_default();
                }
                request = request.header(name, value);
            }
            let mut body = vec![0; length];
            stream.read_exact(&mut body)?;
            let (status, body) = match (self.refusal, is_known) {
                (Some(status), _) => (status.to_owned(), String::new()),
                (None, false) => ("401 Unauthorized".to_owned(), String::new()),
                (None, true) => self.answer(request, body),
            };
            let length = body.len();
            let out = stream.get_mut();
            write!(
                out,
                "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
            )?;
            out.flush()?;
        }
    }

    fn answer(&self, request: http::request::Builder, body: Vec<u8>) -> (String, String) {
        let request = request.body(body).unwrap();
        let answered = self.api.lock().unwrap().handle(&request, SystemTime::now());
        match answered {
            Answer::Whole(answer) => (
                answer.status().to_string(),
                String::from_utf8_lossy(answer.body()).into_owned(),
            ),
            // Who waits polls instead.
            Answer::Watch(..) => ("403 Forbidden".to_owned(), String::new()),
        }
    }
}
