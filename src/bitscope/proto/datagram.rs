//! Datagrams of the bitscope-server protocol, both sides.
//!
//! ```text
//! host -> server   Cmd_ID | 1..=1024 command bytes                          (an adaptor: 64)
//! server -> host   LIA_ID (2, high byte first) | Cmd_ID | Data_Seq | 1..=512 bytes
//! ```
//! The bytes are what the serial line would carry. That the header has 4 bytes is known; which of them is what is not,
//! so a host finds out ([`Assembler`]). The order above is ours.

/// Bytes of a reply's header.
pub const HEADER: usize = 4;
/// Command bytes of a datagram to a server.
pub const SERVER_COMMANDS: usize = 1024;
/// Command bytes of a datagram to a network adaptor.
pub const ADAPTOR_COMMANDS: usize = 64;
/// Data bytes of a reply.
pub const REPLY_DATA: usize = 512;
/// The longest datagram there is.
pub const MAX_DATAGRAM: usize = 65536;
/// Datagrams that may wait for an earlier one.
const STASH: usize = 64;
/// Exchanges after which what the header says counts.
const EXCHANGES: u32 = 2;

/// A datagram that is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DatagramError {
    /// No command in it.
    #[error("a datagram of {0} bytes: one for the Cmd_ID and at least one command belong in it")]
    NoCommand(usize),
    /// No header, or nothing behind it.
    #[error("a reply of {0} bytes: a header of 4 and at least one byte belong in it")]
    ShortReply(usize),
}

/// Appends a datagram of commands.
pub fn encode_request(cmd_id: u8, commands: &[u8], out: &mut Vec<u8>) {
    out.push(cmd_id);
    out.extend_from_slice(commands);
}

/// Cmd_ID and commands of a datagram.
///
/// # Errors
/// [`DatagramError::NoCommand`].
pub fn decode_request(datagram: &[u8]) -> Result<(u8, &[u8]), DatagramError> {
    match datagram {
        [cmd_id, commands @ ..] if !commands.is_empty() => Ok((*cmd_id, commands)),
        _ => Err(DatagramError::NoCommand(datagram.len())),
    }
}

/// The header of a reply, as Outpost sends it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReplyHeader {
    /// Which adaptor.
    pub lia_id: u16,
    /// The datagram that is answered.
    pub cmd_id: u8,
    /// Which datagram of the answer, 0 up.
    pub data_seq: u8,
}

impl ReplyHeader {
    /// Its bytes.
    pub fn encode(self) -> [u8; HEADER] {
        let [high, low] = self.lia_id.to_be_bytes();
        [high, low, self.cmd_id, self.data_seq]
    }

    /// A reply's header and data.
    ///
    /// # Errors
    /// [`DatagramError::ShortReply`].
    pub fn decode(datagram: &[u8]) -> Result<(Self, &[u8]), DatagramError> {
        let ([high, low, cmd_id, data_seq], data) = split(datagram)?;
        let header = Self {
            lia_id: u16::from_be_bytes([*high, *low]),
            cmd_id: *cmd_id,
            data_seq: *data_seq,
        };
        Ok((header, data))
    }
}

fn split(datagram: &[u8]) -> Result<(&[u8; HEADER], &[u8]), DatagramError> {
    match datagram.split_first_chunk() {
        Some((header, data)) if !data.is_empty() => Ok((header, data)),
        _ => Err(DatagramError::ShortReply(datagram.len())),
    }
}

/// What became of a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// It, and perhaps others that waited for it, were handed out.
    Data,
    /// It waits for an earlier one.
    Early,
    /// It answers an old datagram, or came twice.
    Old,
}

/// Puts the replies to one datagram of commands together, whatever the layout of their header.
///
/// A byte of the header that equalled the Cmd_ID in every exchange so far is taken for it; one that counts 0, 1, 2 .. in
/// every answer is Data_Seq. Where nothing fits, replies are taken as they come.
#[derive(Debug, Clone)]
pub struct Assembler {
    cmd_id: u8,
    /// The one before, if its answer is not over.
    kept: Option<u8>,
    kept_seen: heapless::Vec<[u8; HEADER], STASH>,
    keep: bool,
    exchanges: u32,
    /// Bytes of the header that may be the Cmd_ID; likewise the number.
    command: [bool; HEADER],
    sequence: [bool; HEADER],
    /// Number of the next datagram of this answer.
    next: u8,
    delivered: heapless::Vec<[u8; HEADER], STASH>,
    early: Vec<([u8; HEADER], Vec<u8>)>,
    /// The last datagram while the layout is unknown: it may come twice.
    previous: Vec<u8>,
}

impl Default for Assembler {
    fn default() -> Self {
        Self {
            cmd_id: 0,
            kept: None,
            kept_seen: heapless::Vec::new(),
            keep: false,
            exchanges: 0,
            command: [true; HEADER],
            sequence: [true; HEADER],
            next: 0,
            delivered: heapless::Vec::new(),
            early: Vec::new(),
            previous: Vec::new(),
        }
    }
}

impl Assembler {
    /// A datagram with this Cmd_ID was sent: replies to earlier ones are old.
    pub fn begin(&mut self, cmd_id: u8) {
        self.kept = std::mem::take(&mut self.keep).then_some(self.cmd_id);
        self.cmd_id = cmd_id;
        self.next = 0;
        self.kept_seen = std::mem::take(&mut self.delivered);
        self.early.clear();
    }

    /// What answers the last datagram of commands is welcome after the next one as well: the end of a trace that is
    /// being cancelled. It is taken as it comes.
    pub fn keep(&mut self) {
        self.keep = true;
    }

    /// Which byte of the header is the Cmd_ID, once that is sure.
    pub fn command_byte(&self) -> Option<usize> {
        let only = sole(self.command);
        only.filter(|_| self.exchanges >= EXCHANGES)
    }

    /// Which byte of the header is Data_Seq, once that is sure.
    pub fn sequence_byte(&self) -> Option<usize> {
        let command = self.command_byte()?;
        let mut sequence = self.sequence;
        sequence[command] = false;
        sole(sequence)
    }

    /// Takes a reply and appends to `out` what is next in order.
    ///
    /// # Errors
    /// [`DatagramError::ShortReply`]; nothing has changed.
    pub fn receive(&mut self, datagram: &[u8], out: &mut Vec<u8>) -> Result<Taken, DatagramError> {
        let (header, data) = split(datagram)?;
        if let Some(byte) = self.command_byte() {
            if Some(header[byte]) == self.kept {
                if self.kept_seen.contains(header) {
                    return Ok(Taken::Old);
                }
                let _ = self.kept_seen.push(*header);
                out.extend_from_slice(data);
                return Ok(Taken::Data);
            }
            if header[byte] != self.cmd_id {
                return Ok(Taken::Old);
            }
        } else if self.delivered.is_empty() {
            // Where no byte can be the Cmd_ID, the same once more may be another.
            if self.previous == datagram && self.command.contains(&true) {
                return Ok(Taken::Old);
            }
            self.learn_command(header);
            self.previous = datagram.to_vec();
        }
        if self.has_sequence() && self.is_known(header) {
            return Ok(Taken::Old);
        }
        self.learn_sequence(header);
        if self.has_sequence() && !self.is_next(header) {
            if self.early.len() < STASH {
                self.early.push((*header, data.to_vec()));
            }
            // What is next may have become clear.
            let before = out.len();
            self.hand_out_early(out);
            return Ok(match out.len() > before {
                true => Taken::Data,
                false => Taken::Early,
            });
        }
        self.hand_out(*header, data, out);
        self.hand_out_early(out);
        Ok(Taken::Data)
    }

    fn hand_out(&mut self, header: [u8; HEADER], data: &[u8], out: &mut Vec<u8>) {
        out.extend_from_slice(data);
        self.next = self.next.wrapping_add(1);
        if self.delivered.is_full() {
            self.delivered.remove(0);
        }
        let _ = self.delivered.push(header);
    }

    fn hand_out_early(&mut self, out: &mut Vec<u8>) {
        while let Some(index) = self
            .early
            .iter()
            .position(|(header, _)| self.is_next(header))
        {
            let (header, data) = self.early.swap_remove(index);
            self.hand_out(header, &data, out);
        }
    }

    fn is_known(&self, header: &[u8; HEADER]) -> bool {
        self.delivered.contains(header) || self.early.iter().any(|(early, _)| early == header)
    }

    /// Whether every byte that may be the number says that this is next.
    fn is_next(&self, header: &[u8; HEADER]) -> bool {
        (0..HEADER).all(|byte| !self.may_count(byte) || header[byte] == self.next)
    }

    fn has_sequence(&self) -> bool {
        (0..HEADER).any(|byte| self.may_count(byte))
    }

    fn may_count(&self, byte: usize) -> bool {
        self.sequence[byte] && self.command_byte().is_some_and(|command| command != byte)
    }

    fn learn_command(&mut self, header: &[u8; HEADER]) {
        self.exchanges = self.exchanges.saturating_add(1);
        for (may, value) in self.command.iter_mut().zip(header) {
            *may &= *value == self.cmd_id;
        }
        // The first answers are short: number 0 is all there is to them.
        for (may, value) in self.sequence.iter_mut().zip(header) {
            *may &= *value == 0;
        }
    }

    /// No byte that is the same in two replies of an answer counts them.
    fn learn_sequence(&mut self, header: &[u8; HEADER]) {
        let others = self.delivered.iter();
        let others = others.chain(self.early.iter().map(|(early, _)| early));
        for other in others {
            for (byte, may) in self.sequence.iter_mut().enumerate() {
                *may &= other[byte] != header[byte];
            }
        }
    }
}

fn sole(may: [bool; HEADER]) -> Option<usize> {
    let mut bytes = (0..HEADER).filter(|byte| may[*byte]);
    bytes.next().filter(|_| bytes.next().is_none())
}
