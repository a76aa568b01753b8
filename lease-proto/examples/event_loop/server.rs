//! The API server of this crate on a port, so that the example runs without a cluster.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    thread,
    time::SystemTime,
};

use lease_proto::server::{Answer, ApiServer};

/// Starts it on a thread of its own; returns its address.
pub(crate) fn start() -> io::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let mut server = ApiServer::new();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // Whoever sends nonsense gets no answer.
            let _gone = serve(&mut server, stream);
        }
    });
    Ok(address)
}

/// Answers one request.
fn serve(server: &mut ApiServer, stream: TcpStream) -> io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let mut words = line.split_whitespace();
    let (method, uri) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
    let mut request = http::Request::builder().method(method).uri(uri);
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(": ") else {
            break;
        };
        if name == "content-length" {
            length = value.parse().unwrap_or(0);
        }
        request = request.header(name, value);
    }
    let mut body = Vec::new();
    reader.by_ref().take(length).read_to_end(&mut body)?;
    let request = request.body(body).map_err(io::Error::other)?;
    let Answer::Whole(answer) = server.handle(&request, SystemTime::now()) else {
        return Ok(());
    };
    let (status, body) = (answer.status(), answer.body());
    let mut head = format!("HTTP/1.0 {status}\r\ncontent-length: {}\r\n", body.len());
    for (name, value) in answer.headers() {
        if name != http::header::CONTENT_LENGTH {
            head.push_str(&format!(
                "{name}: {}\r\n",
                value.to_str().unwrap_or_default()
            ));
        }
    }
    let mut stream = reader.into_inner();
    stream.write_all(format!("{head}\r\n").as_bytes())?;
    stream.write_all(body)
}
