//! A proxy that connects to a server, or does not.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

/// What a proxy does with a request to connect.
#[derive(Clone, Copy)]
pub(crate) enum Will {
    /// Connects to this server, whatever was asked for.
    Connect(SocketAddr),
    /// Answers with this status line.
    Refuse(&'static str),
    /// Says nothing.
    Hang,
}

/// A proxy, and the heads of the requests that it got.
pub(crate) struct Tunnels {
    pub(crate) address: SocketAddr,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Tunnels {
    pub(crate) fn start(will: Will) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let proxy = Self {
            address: listener.local_addr().unwrap(),
            heads: Arc::default(),
        };
        let heads = Arc::clone(&proxy.heads);
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let heads = Arc::clone(&heads);
                // An error is the client's going away.
                thread::spawn(move || tunnel(client, will, &heads).ok());
            }
        });
        proxy
    }

    pub(crate) fn url(&self, user: &str) -> String {
        format!("http://{user}{}", self.address)
    }

    pub(crate) fn heads(&self) -> MutexGuard<'_, Vec<String>> {
        self.heads.lock().unwrap()
    }
}

fn tunnel(client: TcpStream, will: Will, heads: &Mutex<Vec<String>>) -> io::Result<()> {
    let mut reader = BufReader::new(client.try_clone()?);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head)? == 0 {
            return Ok(());
        }
    }
    heads.lock().unwrap().push(head);
    let mut client = client;
    let server = match will {
        Will::Connect(server) => TcpStream::connect(server)?,
        Will::Refuse(status) => {
            return client.write_all(format!("HTTP/1.1 {status}\r\n\r\n").as_bytes());
        }
        Will::Hang => {
            thread::sleep(Duration::from_secs(600));
            return Ok(());
        }
    };
    client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")?;
    let (mut up, mut down) = (server.try_clone()?, client.try_clone()?);
    thread::spawn(move || io::copy(&mut reader, &mut up));
    let mut server = server;
    io::copy(&mut server, &mut down)?;
    Ok(())
}
