//! Where requests go: what the server must prove, and what lets requests in.

use std::{
    error::Error,
    fs, io,
    net::{SocketAddr, ToSocketAddrs},
    path::Path,
    sync::Arc,
    time::Instant,
};

use http::HeaderValue;
use lease_proto::access::{
    Access, CredentialsError, FileStamp, Material, ServerUrl, TokenFile, TransportError, bearer,
    rustls as settings,
};
use mio::net::TcpStream;
use rustls::{ClientConfig, ClientConnection, StreamOwned, pki_types::ServerName};

use crate::connection::Connection;

/// A server, and what is needed to talk to it.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) url: ServerUrl,
    addresses: Vec<SocketAddr>,
    tls: Option<(Arc<ClientConfig>, ServerName<'static>)>,
    token: Token,
}

#[derive(Debug)]
enum Token {
    None,
    Fixed(HeaderValue),
    File(TokenFile),
}

impl Server {
    /// Looks the name up: here and not in the loop, as the system's way to do that blocks.
    pub(crate) fn new(access: &Access) -> Result<Self, Box<dyn Error + Send + Sync>> {
        let url = access.server.clone();
        let found = (url.host(), url.port()).to_socket_addrs();
        let found = found.map_err(|source| TransportError::Dns {
            server: url.to_string(),
            source,
        })?;
        let tls = if url.is_https() {
            // The platform's certificates are a matter of another crate, rustls-native-certs.
            let config = settings::client_config(access, &|path| fs::read(path), &Vec::new)?;
            Some((Arc::new(config), settings::server_name(access)?))
        } else {
            None
        };
        Ok(Self {
            addresses: found.collect(),
            tls,
            token: match &access.auth.token {
                None => Token::None,
                Some(Material::Inline(token)) => Token::Fixed(bearer(token)?),
                Some(Material::File(path)) => Token::File(TokenFile::new(path)),
            },
            url,
        })
    }

    /// Begins to connect.
    pub(crate) fn connect(&self) -> io::Result<Connection> {
        let address = self.addresses.first();
        let address = address.ok_or_else(|| io::Error::other("the name has no address"))?;
        let socket = TcpStream::connect(*address)?;
        Ok(match &self.tls {
            None => Connection::Plain(socket),
            Some((config, name)) => {
                let tls = ClientConnection::new(Arc::clone(config), name.clone());
                let tls = tls.map_err(io::Error::other)?;
                Connection::Tls(Box::new(StreamOwned::new(tls, socket)))
            }
        })
    }

    /// Has the next connection go to another address of the name, if there is one.
    pub(crate) fn try_another(&mut self) {
        let one = self.addresses.len().min(1);
        self.addresses.rotate_left(one);
    }

    /// What lets a request in. `is_refused`: the server did not know what went with the last one.
    pub(crate) fn authorization(
        &mut self,
        is_refused: bool,
    ) -> Result<Option<HeaderValue>, CredentialsError> {
        let file = match &mut self.token {
            Token::None => return Ok(None),
            Token::Fixed(header) => return Ok(Some(header.clone())),
            Token::File(file) => file,
        };
        let (stamp, now) = (stamp(file.path()), Instant::now());
        if !is_refused && let Some(known) = file.known(stamp, now) {
            return Ok(Some(known));
        }
        let content = fs::read(file.path());
        file.take(content, stamp, is_refused, now).map(Some)
    }
}

fn stamp(path: &Path) -> Option<FileStamp> {
    FileStamp::of(&fs::metadata(path).ok()?)
}
