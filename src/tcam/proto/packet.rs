//! Packets: `0x02` JSON `0x03`, without length, checksum or escape, on the UART and on TCP.
//!
//! JSON escapes control characters, so the two delimiters never occur inside a packet.

/// First byte of a packet.
pub const STX: u8 = 0x02;
/// Last byte of a packet.
pub const ETX: u8 = 0x03;

/// The longest text a host accepts: an image is about 51 980 bytes, the camera's buffer 54 272.
pub const HOST_LIMIT: usize = 64 * 1024;
/// The longest command the camera accepts: its ring buffer of 12 288 bytes, less one.
pub const CAMERA_LIMIT: usize = 12_287;

/// How many bytes [`Framer::push`] keeps free for the next call of [`Framer::space`] at least.
const GROWTH: usize = 4096;

/// A packet in the framer's buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packet<'a> {
    framed: &'a [u8],
}

impl<'a> Packet<'a> {
    /// The JSON text, delimiters left out. It may be anything but the delimiters, invalid UTF-8 included.
    pub fn text(&self) -> &'a [u8] {
        &self.framed[1..self.framed.len() - 1]
    }

    /// The packet as it came, delimiters included: what a forwarder sends on.
    pub fn framed(&self) -> &'a [u8] {
        self.framed
    }
}

/// What a framer met so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Packets handed out.
    pub packets: u64,
    /// Bytes outside of packets, skipped.
    pub junk_bytes: u64,
    /// Packets dropped because a second [`STX`] came before their [`ETX`].
    pub abandoned: u64,
    /// Packets dropped because they grew beyond the limit.
    pub overflows: u64,
}

/// Which side's rule is followed for an [`STX`] within a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    /// Start again: line noise ate an end.
    Host,
    /// It is content, so that both commands fail as one text that is not JSON (firmware 3.2).
    Camera,
}

/// Cuts bytes into packets, however they are split.
///
/// Feed with [`Framer::push`], or read into [`Framer::space`] and say [`Framer::filled`]; then call [`Framer::next`]
/// until it returns `None`. Every byte is scanned once. Memory is bounded by the limit and the largest read.
#[derive(Debug)]
pub struct Framer {
    /// Initialized to its whole length; what was received ends at `end`.
    buffer: Vec<u8>,
    /// First byte not handed out: an [`STX`] when `inside`.
    start: usize,
    /// Everything before is scanned.
    scanned: usize,
    end: usize,
    inside: bool,
    limit: usize,
    side: Side,
    counters: Counters,
}

impl Framer {
    /// For what a camera sends: a second [`STX`] starts again; texts of up to [`HOST_LIMIT`] bytes.
    pub fn host() -> Self {
        Self::new(Side::Host, HOST_LIMIT)
    }

    /// For what a host sends, as the camera takes it: ends at an [`ETX`] alone; up to [`CAMERA_LIMIT`] bytes.
    pub fn camera() -> Self {
        Self::new(Side::Camera, CAMERA_LIMIT)
    }

    /// The same with another limit for a packet's text, in bytes.
    pub fn with_limit(self, limit: usize) -> Self {
        Self { limit, ..self }
    }

    fn new(side: Side, limit: usize) -> Self {
        Self {
            buffer: Vec::new(),
            start: 0,
            scanned: 0,
            end: 0,
            inside: false,
            limit,
            side,
            counters: Counters::default(),
        }
    }

    /// Adds what was received.
    pub fn push(&mut self, bytes: &[u8]) {
        self.space(bytes.len())[..bytes.len()].copy_from_slice(bytes);
        self.filled(bytes.len());
    }

    /// At least `len` bytes to read into. Their content is of no meaning. Takes back the packet handed out last.
    pub fn space(&mut self, len: usize) -> &mut [u8] {
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            self.scanned -= self.start;
            self.end -= self.start;
            self.start = 0;
        }
        if self.buffer.len() - self.end < len {
            self.buffer.resize(self.end + len.max(GROWTH), 0);
        }
        &mut self.buffer[self.end..]
    }

    /// The first `len` bytes of [`Framer::space`] are received; never more than it had.
    pub fn filled(&mut self, len: usize) {
        self.end = (self.end + len).min(self.buffer.len());
    }

    /// The next packet, or `None` when more input is needed.
    #[expect(clippy::should_implement_trait, reason = "packets borrow the buffer")]
    pub fn next(&mut self) -> Option<Packet<'_>> {
        loop {
            if !self.inside && !self.find_start() {
                return None;
            }
            // The text may fill the limit and still needs its end, so that splits never matter.
            let horizon = self.start.saturating_add(self.limit).saturating_add(2);
            let scan_end = self.end.min(horizon);
            match self.find_delimiter(scan_end) {
                Some(at) => {
                    self.scanned = at + 1;
                    if self.buffer[at] == ETX {
                        let framed = self.start..at + 1;
                        self.start = at + 1;
                        self.inside = false;
                        self.counters.packets += 1;
                        return Some(Packet {
                            framed: &self.buffer[framed],
                        });
                    }
                    self.counters.abandoned += 1;
                    self.start = at;
                }
                None if scan_end == horizon => {
                    self.counters.overflows += 1;
                    self.scanned = scan_end;
                    self.start = scan_end;
                    self.inside = false;
                }
                None => {
                    self.scanned = scan_end;
                    return None;
                }
            }
        }
    }

    /// What happened so far.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// Whether a packet has begun that is not complete.
    pub fn is_inside(&self) -> bool {
        self.inside
    }

    /// Forgets what is buffered, as after a reconnection. The counters go on.
    pub fn clear(&mut self) {
        (self.start, self.scanned, self.end, self.inside) = (0, 0, 0, false);
    }

    /// Bytes of memory held.
    pub fn capacity(&self) -> usize {
        self.buffer.capacity()
    }

    /// Skips to the next [`STX`]; false when there is none.
    fn find_start(&mut self) -> bool {
        let rest = &self.buffer[self.scanned..self.end];
        let skipped = memchr::memchr(STX, rest);
        self.inside = skipped.is_some();
        let junk = skipped.unwrap_or(rest.len());
        self.counters.junk_bytes += junk as u64;
        self.start = self.scanned + junk;
        self.scanned = self.start + usize::from(self.inside);
        self.inside
    }

    fn find_delimiter(&self, scan_end: usize) -> Option<usize> {
        let rest = &self.buffer[self.scanned..scan_end];
        let found = match self.side {
            Side::Host => memchr::memchr2(STX, ETX, rest),
            Side::Camera => memchr::memchr(ETX, rest),
        };
        found.map(|at| self.scanned + at)
    }
}

/// Appends `text` as a packet. It must hold no delimiter, as no JSON text does.
pub fn encode(text: &[u8], out: &mut Vec<u8>) {
    out.reserve(text.len() + 2);
    out.push(STX);
    out.extend_from_slice(text);
    out.push(ETX);
}
