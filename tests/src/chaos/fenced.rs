//! A resource that is fenced: it refuses whoever comes with a lower token than it has seen, and keeps a list of all.

use std::{
    collections::BTreeMap,
    env,
    io::{self, BufRead, BufReader, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::Duration,
};

use lease_proto::Grant;

use crate::boot::{self, Micros};

/// A write to the resource, as it came.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Write {
    /// The Lease that protects the resource.
    pub lease: String,
    /// The writer's name.
    pub writer: String,
    /// The token that it came with.
    pub token: u128,
    /// Before the writer looked whether it holds the Lease.
    pub looked_from: Micros,
    /// After it had looked.
    pub looked_until: Micros,
    /// When the write came.
    pub came: Micros,
    /// Whether it was let in.
    pub accepted: bool,
}

impl Write {
    /// Reads what a writer sends; it has not come in yet.
    fn read(line: &str) -> Option<Self> {
        let mut words = line.split_whitespace();
        Some(Self {
            lease: words.next()?.to_owned(),
            writer: words.next()?.to_owned(),
            token: words.next()?.parse().ok()?,
            looked_from: words.next()?.parse().ok()?,
            looked_until: words.next()?.parse().ok()?,
            came: 0,
            accepted: false,
        })
    }
}

/// The resource: one for each Lease, all behind the same port.
#[derive(Clone, Debug)]
pub struct Fenced {
    address: SocketAddr,
    book: Arc<Mutex<Book>>,
}

#[derive(Debug, Default)]
struct Book {
    highest: BTreeMap<String, u128>,
    writes: Vec<Write>,
}

impl Fenced {
    /// Opens the resource on a port of its own.
    ///
    /// # Errors
    ///
    /// Fails if there is no port.
    pub fn open() -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let fenced = Self {
            address: listener.local_addr()?,
            book: Arc::default(),
        };
        let book = Arc::clone(&fenced.book);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let book = Arc::clone(&book);
                thread::spawn(move || serve(&stream, &book));
            }
        });
        Ok(fenced)
    }

    /// Returns where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns all writes so far, in the order in which they came.
    pub fn writes(&self) -> Vec<Write> {
        let book = self.book.lock().unwrap_or_else(PoisonError::into_inner);
        book.writes.clone()
    }
}

impl Book {
    fn enter(&mut self, mut write: Write) -> bool {
        let highest = self.highest.entry(write.lease.clone()).or_default();
        write.accepted = write.token >= *highest;
        *highest = write.token.max(*highest);
        write.came = boot::now();
        let accepted = write.accepted;
        self.writes.push(write);
        accepted
    }
}

/// Takes the writes of one writer. It may be stopped or killed in the middle of one.
fn serve(stream: &TcpStream, book: &Mutex<Book>) {
    for line in BufReader::new(stream).lines().map_while(Result::ok) {
        let Some(write) = Write::read(&line) else {
            return;
        };
        let mut book = book.lock().unwrap_or_else(PoisonError::into_inner);
        let answer = if book.enter(write) {
            "accepted\n"
        } else {
            "rejected\n"
        };
        drop(book);
        if (&*stream).write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}

/// A bug that a claimant can be told to have, to see whether the checker notices.
#[derive(Clone, Copy, Debug, Eq, PartialEq, clap::ValueEnum)]
#[non_exhaustive]
pub enum Plant {
    /// It goes on after it has lost the Lease.
    IgnoreLost,
}

impl Plant {
    /// The environment variable that plants one.
    pub const VARIABLE: &str = "LEASE_CHAOS_PLANT";

    /// What it has to be set to.
    pub const IGNORE_LOST: &str = "ignore-lost";

    /// Reads the environment.
    ///
    /// # Errors
    ///
    /// Says which bugs there are.
    pub fn from_environment() -> Result<Option<Self>, String> {
        match env::var(Self::VARIABLE) {
            Err(_) => Ok(None),
            Ok(name) if name == Self::IGNORE_LOST => Ok(Some(Self::IgnoreLost)),
            Ok(name) => Err(format!(
                "{} is {name:?}, and there is only {:?}",
                Self::VARIABLE,
                Self::IGNORE_LOST
            )),
        }
    }
}

/// Writes to the resource at `address` for as long as `grant` says that the Lease is held, and goes on for ever.
///
/// # Errors
///
/// Fails if the resource cannot be reached.
pub fn write_while_held(
    address: &str,
    lease: &str,
    writer: &str,
    plant: Option<Plant>,
    grant: impl Fn() -> Option<Grant> + Send + 'static,
) -> io::Result<()> {
    let stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    let (lease, writer) = (lease.to_owned(), writer.to_owned());
    thread::spawn(move || {
        let mut answers = BufReader::new(&stream).lines();
        let mut remembered = None;
        loop {
            let looked_from = boot::now();
            let held = grant().and_then(|grant| grant.token);
            let looked_until = boot::now();
            if plant == Some(Plant::IgnoreLost) {
                remembered = held.or(remembered);
            } else {
                remembered = held;
            }
            if let Some(token) = remembered {
                let line = format!("{lease} {writer} {token} {looked_from} {looked_until}\n");
                let answered = (&stream)
                    .write_all(line.as_bytes())
                    .is_ok_and(|()| answers.next().is_some_and(|line| line.is_ok()));
                if !answered {
                    return;
                }
            }
            thread::sleep(PAUSE);
        }
    });
    Ok(())
}

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(50);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_comes_with_a_lower_token_is_refused() {
        let mut book = Book::default();
        let write = |lease: &str, token: u128| {
            Write::read(&format!("{lease} somebody {token} 1 2")).expect("it is well formed")
        };
        assert!(book.enter(write("a", 5)));
        assert!(book.enter(write("a", 5)));
        assert!(book.enter(write("a", 7)));
        assert!(!book.enter(write("a", 6)));
        assert!(book.enter(write("b", 1)), "each Lease has its own");
        let accepted: Vec<bool> = book.writes.iter().map(|write| write.accepted).collect();
        assert_eq!(accepted, [true, true, true, false, true]);
    }
}
