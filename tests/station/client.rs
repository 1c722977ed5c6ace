//! Clients of both text ports, and what they read in replies and files.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};

use serde_json::Value;

use super::harness::PATIENCE;

/// A connection. Every read has a time limit.
pub struct Client {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Client {
    pub fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self {
            stream,
            buffer: Vec::new(),
        }
    }

    pub fn stream(&self) -> &TcpStream {
        &self.stream
    }

    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).unwrap();
    }

    /// No more will be sent.
    pub fn half_close(&mut self) {
        self.stream.shutdown(Shutdown::Write).unwrap();
    }

    /// Everything up to the end of the connection.
    pub fn rest(mut self) -> Vec<u8> {
        self.stream.read_to_end(&mut self.buffer).unwrap();
        self.buffer
    }

    /// Exactly this many bytes.
    pub fn take(&mut self, n: usize) -> Vec<u8> {
        while self.buffer.len() < n {
            self.fill();
        }
        self.buffer.drain(..n).collect()
    }

    /// Everything up to and including `end`.
    pub fn take_until(&mut self, end: &[u8]) -> Vec<u8> {
        loop {
            if let Some(at) = self.buffer.windows(end.len()).position(|w| w == end) {
                return self.take(at + end.len());
            }
            self.fill();
        }
    }

    /// Reads and forgets everything until the connection ends, in whatever way.
    pub fn read_until_it_ends(&mut self) {
        let mut piece = [0; 65536];
        while self.stream.read(&mut piece).is_ok_and(|n| n > 0) {}
    }

    /// The next line, without its end.
    pub fn line(&mut self) -> String {
        let mut looked = 0;
        let end = loop {
            if let Some(at) = self.buffer[looked..].iter().position(|&b| b == b'\n') {
                break looked + at;
            }
            looked = self.buffer.len();
            self.fill();
        };
        let line: Vec<u8> = self.buffer.drain(..=end).collect();
        String::from_utf8(line[..end].to_vec()).unwrap()
    }

    /// Sends a message with its LF and gives the reply's line.
    pub fn query(&mut self, message: &str) -> String {
        self.send(format!("{message}\n"));
        self.line()
    }

    /// Sends a message that answers nothing and must leave no error.
    pub fn command(&mut self, message: &str) {
        self.send(format!("{message}\n"));
        assert_eq!(self.errors(), Vec::<String>::new(), "after {message}");
    }

    /// Sends a message that must answer nothing and leave one error; gives its number.
    pub fn refused(&mut self, message: &str) -> i32 {
        self.refusal(message).0
    }

    /// The same with the whole entry.
    pub fn refusal(&mut self, message: &str) -> (i32, String) {
        self.send(format!("{message}\n"));
        let errors = self.errors();
        assert_eq!(errors.len(), 1, "after {message}: {errors:?}");
        (number(&errors[0]), errors[0].clone())
    }

    /// Empties the error queue; gives its entries, oldest first.
    pub fn errors(&mut self) -> Vec<String> {
        let mut entries = Vec::new();
        loop {
            let entry = self.query("SYST:ERR?");
            if entry == "0,\"No error\"" {
                return entries;
            }
            entries.push(entry);
        }
    }

    /// Sends a query that answers with one block; gives its content.
    pub fn block(&mut self, message: &str) -> Vec<u8> {
        self.send(format!("{message}\n"));
        let content = self.block_content();
        assert_eq!(self.take(1), b"\n", "{message}");
        content
    }

    /// Reads a definite-length block, without what follows it.
    pub fn block_content(&mut self) -> Vec<u8> {
        let head = self.take(2);
        assert_eq!(head[0], b'#', "{}", String::from_utf8_lossy(&head));
        let digits = self.take(usize::from(head[1] - b'0'));
        let length = std::str::from_utf8(&digits).unwrap().parse().unwrap();
        assert!(
            length == 0 || digits[0] != b'0',
            "the length has leading zeros"
        );
        self.take(length)
    }

    /// Sends a query that answers with one block of JSON.
    pub fn json(&mut self, message: &str) -> Value {
        serde_json::from_slice(&self.block(message)).unwrap()
    }

    /// Sends an unterminated message and gives what one receive returns, as FE-PyCam2 programs do.
    pub fn ask(&mut self, message: &str) -> String {
        assert!(self.buffer.is_empty(), "unread: {:?}", self.buffer);
        self.send(message);
        self.fill();
        String::from_utf8(std::mem::take(&mut self.buffer)).unwrap()
    }

    /// One receive.
    fn fill(&mut self) {
        let mut piece = [0; 65536];
        let n = self.stream.read(&mut piece).unwrap_or_else(|error| {
            panic!(
                "no reply ({error}); so far {:?}",
                String::from_utf8_lossy(&self.buffer)
            )
        });
        if n == 0 {
            let so_far = String::from_utf8_lossy(&self.buffer);
            panic!("the connection ended; so far {so_far:?}");
        }
        self.buffer.extend_from_slice(&piece[..n]);
    }
}

/// The number of an error queue entry.
pub fn number(entry: &str) -> i32 {
    entry.split(',').next().unwrap().parse().unwrap()
}

/// Rows, columns and values of a `.raw` file as Outpost writes it: a protocol 3 pickle of a 134-byte head, the
/// values, and three more bytes (hq-camera.md 12).
pub fn unpickle(file: &[u8]) -> (usize, usize, Vec<u16>) {
    assert_eq!(&file[..2], b"\x80\x03");
    assert_eq!(&file[file.len() - 3..], b"tb.");
    let int = |at: usize| {
        assert_eq!(file[at], b'J');
        i32::from_le_bytes(file[at + 1..at + 5].try_into().unwrap()) as usize
    };
    let (rows, columns) = (int(64), int(69));
    let length = u32::from_le_bytes(file[127..131].try_into().unwrap()) as usize;
    assert_eq!(length, rows * columns * 2);
    let values = file[131..131 + length]
        .chunks_exact(2)
        .map(|b| u16::from_le_bytes([b[0], b[1]]))
        .collect();
    (rows, columns, values)
}
