//! TCP to whichever address of a host answers first.
//!
//! hyper-util's own connector asks addresses of one family one after the other, each for as long as the system likes: one
//! that swallows what it is sent would use up the time of every request.

use std::{io, net::SocketAddr, time::Duration};

use tokio::{
    net::TcpStream,
    task::JoinSet,
    time::{Instant, timeout_at},
};

/// Connects to one of these addresses: the first gets a head start, and so does each that follows before the next.
///
/// Dropping the future ends all attempts.
pub(crate) async fn connect(
    addresses: impl IntoIterator<Item = SocketAddr>,
) -> io::Result<TcpStream> {
    let mut left = by_turns(addresses).into_iter();
    let mut attempts = JoinSet::new();
    let mut failure = None;
    loop {
        if let Some(address) = left.next() {
            attempts.spawn(TcpStream::connect(address));
        } else if attempts.is_empty() {
            let no_address = || io::Error::new(io::ErrorKind::NotFound, "the host has no address");
            return Err(failure.unwrap_or_else(no_address));
        }
        let head_start = Instant::now() + HEAD_START;
        let outcome = if left.len() == 0 {
            attempts.join_next().await
        } else {
            match timeout_at(head_start, attempts.join_next()).await {
                Ok(outcome) => outcome,
                Err(_) => continue,
            }
        };
        match outcome {
            Some(Ok(Ok(stream))) => return Ok(stream),
            // The first says most: it is the one that the resolver prefers.
            Some(Ok(Err(error))) => failure = failure.or(Some(error)),
            Some(Err(error)) => failure = failure.or_else(|| Some(error.into())),
            None => {}
        }
    }
}

/// Puts the families by turns, as one of them may lead nowhere; within each the resolver's order stays, and the first first.
fn by_turns(addresses: impl IntoIterator<Item = SocketAddr>) -> Vec<SocketAddr> {
    let mut addresses: Vec<_> = addresses.into_iter().collect();
    let Some(first) = addresses.first().copied() else {
        return addresses;
    };
    let is_like_first = |address: &SocketAddr| address.is_ipv4() == first.is_ipv4();
    let mut places = [0, 0];
    // A stable sort by the place within the family.
    addresses.sort_by_cached_key(|address| {
        let place = &mut places[usize::from(!is_like_first(address))];
        *place += 1;
        (*place, !is_like_first(address))
    });
    addresses
}

/// What RFC 8305 recommends.
const HEAD_START: Duration = Duration::from_millis(250);

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "test code")]
mod tests {
    use tokio::net::{TcpListener, TcpSocket};

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(20);

    /// An address that does not answer while what is returned beside it lives: its queue is full.
    async fn black_hole() -> (SocketAddr, impl Sized) {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
        let listener = socket.listen(1).unwrap();
        let address = listener.local_addr().unwrap();
        let mut queued = Vec::new();
        let wait = Duration::from_millis(100);
        while let Ok(stream) = tokio::time::timeout(wait, TcpStream::connect(address)).await {
            queued.push(stream.unwrap());
        }
        (address, (listener, queued))
    }

    async fn nobody() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap()
    }

    #[tokio::test]
    async fn an_address_that_swallows_everything_is_gone_by() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (hole, _full) = black_hole().await;
        for addresses in [[hole, address], [address, hole]] {
            let connected = tokio::time::timeout(PATIENCE, connect(addresses)).await;
            assert_eq!(connected.unwrap().unwrap().peer_addr().unwrap(), address);
        }
        let (other, _full) = black_hole().await;
        let many = [hole, nobody().await, other, nobody().await, address];
        let connected = tokio::time::timeout(PATIENCE, connect(many)).await;
        assert_eq!(connected.unwrap().unwrap().peer_addr().unwrap(), address);
    }

    #[tokio::test]
    async fn where_nobody_listens_the_reason_is_told() {
        let error = connect([nobody().await, nobody().await]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        let error = connect([]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn families_come_by_turns() {
        let addresses = ["[::1]:1", "[::2]:1", "[::3]:1", "1.0.0.1:1", "1.0.0.2:1"];
        let sorted = by_turns(addresses.map(|address| address.parse().unwrap()));
        let sorted: Vec<_> = sorted.iter().map(ToString::to_string).collect();
        assert_eq!(
            sorted,
            ["[::1]:1", "1.0.0.1:1", "[::2]:1", "1.0.0.2:1", "[::3]:1"]
        );
    }
}
