//! Strings and their echoes, resets, and coming back into step.

use std::time::Duration;

use super::Scope;
use super::error::ScopeError;
use crate::bitscope::proto::register::digits;
use crate::bitscope::proto::reply::{PRINTED, REVISION, printed, revision};
use crate::bitscope::proto::{REVISION_PREFIX, Register, SERIAL_ADDRESS, SERIAL_LENGTH};

/// Silence after which a device that was reset has said everything.
const SILENCE: Duration = Duration::from_millis(100);
/// A device that talks for longer after a reset is lost.
const BABBLE: Duration = Duration::from_secs(5);
/// What a dead device does not send.
const RESET: &str = "the echo of a reset";
/// How often something is tried over a link that may lose it.
const DATAGRAM_ATTEMPTS: u32 = 4;

impl Scope {
    /// Brings host and device back into step: reset, silence, `?`. Generators that ran are started again.
    ///
    /// # Errors
    /// Those of the link; open it anew then.
    pub async fn resynchronise(&mut self) -> Result<(), ScopeError> {
        let mut attempt = 1;
        loop {
            match self.greet(true).await {
                Err(error) if error.is_desynchronised() && attempt < self.attempts() => {
                    attempt += 1
                }
                result => break result?,
            }
        }
        self.restore().await?;
        self.dirty = false;
        Ok(())
    }

    /// Comes into step if an earlier operation left the link out of it.
    pub(super) async fn settle(&mut self) -> Result<(), ScopeError> {
        if self.dirty {
            self.resynchronise().await?;
        }
        self.wire.clear();
        Ok(())
    }

    /// Ends an operation: one that lost the stream leaves it in step again, if that can be.
    pub(super) async fn conclude<T>(
        &mut self,
        result: Result<T, ScopeError>,
    ) -> Result<T, ScopeError> {
        match &result {
            Ok(_) => self.dirty = false,
            // What went wrong first is worth telling; the next operation meets what is wrong still.
            Err(error) if error.is_desynchronised() => drop(self.resynchronise().await),
            Err(_) => {}
        }
        result
    }

    /// How often something that does no harm twice is tried.
    pub(super) fn attempts(&self) -> u32 {
        match self.wire.is_datagrams() {
            true => DATAGRAM_ATTEMPTS,
            false => 1,
        }
    }

    /// Who the device is, after a reset.
    pub(super) async fn identify(&mut self) -> Result<(), ScopeError> {
        let mut attempt = 0;
        loop {
            let result = match self.greet(attempt > 0).await {
                Ok(()) => self.read_serial_number().await,
                Err(error) => Err(error),
            };
            match result {
                // A reset is tried often enough.
                Err(ScopeError::Silent { what: RESET, .. }) => {
                    self.dirty = true;
                    return result;
                }
                Err(error) if error.is_desynchronised() && attempt < self.attempts() => {
                    attempt += 1;
                    self.wire.forget_header();
                }
                result => {
                    self.dirty = result.is_err();
                    return result;
                }
            }
        }
    }

    /// Resets the device and asks for its revision.
    async fn greet(&mut self, patient: bool) -> Result<(), ScopeError> {
        let mut attempt = 1;
        while let Err(error) = self.reset(patient).await {
            if !error.is_desynchronised() || attempt >= self.attempts() {
                return Err(error);
            }
            attempt += 1;
        }
        let reply = self.repeatable(b"?", REVISION, "its revision").await?;
        let revision = revision(&reply)?;
        if !revision.as_bytes().starts_with(REVISION_PREFIX) {
            return Err(ScopeError::Model(revision));
        }
        self.identity.revision = revision;
        Ok(())
    }

    /// Resets the device and reads until the echo of that is the last thing said; `patient` makes sure that it is.
    async fn reset(&mut self, patient: bool) -> Result<(), ScopeError> {
        self.dirty = true;
        self.wire.clear();
        let limit = self.echo_limit(1);
        self.send(b"!", limit).await?;
        let started = self.wire.clock.now();
        let mut received = 0;
        let mut last = None;
        loop {
            let due = match last {
                Some(b'!') if !patient => return Ok(()),
                Some(b'!') => self.wire.clock.now() + SILENCE,
                // Old data may come first, with pauses.
                _ => self.wire.clock.now() + limit,
            };
            let more = self.wire.fill(Some(due)).await?;
            received += self.wire.inbox().len();
            last = self.wire.inbox().last().copied().or(last);
            self.wire.clear();
            if more && self.wire.clock.now() - started < BABBLE {
                continue;
            }
            return match last {
                Some(b'!') if !more => Ok(()),
                None => Err(ScopeError::Silent {
                    what: RESET,
                    limit,
                    received: 0,
                    expected: 1,
                }),
                _ => Err(ScopeError::Restless(received)),
            };
        }
    }

    /// Starts again what ran before a reset.
    async fn restore(&mut self) -> Result<(), ScopeError> {
        let strings = match (&self.waveform, &self.clock_plan) {
            (Some(waveform), _) => waveform.start(),
            (None, Some(clock)) => vec![super::generators::clock_string(clock)],
            (None, None) => return Ok(()),
        };
        self.run_all(&strings).await
    }

    /// The EEPROM's serial number.
    async fn read_serial_number(&mut self) -> Result<(), ScopeError> {
        let mut serial_number = String::new();
        for offset in 0..SERIAL_LENGTH as u8 {
            let address = SERIAL_ADDRESS + offset;
            let value = self.read_eeprom(address).await?;
            if !value.is_ascii_graphic() {
                return Err(ScopeError::Serial { address, value });
            }
            serial_number.push(char::from(value));
        }
        self.identity.serial_number = serial_number;
        Ok(())
    }

    async fn read_eeprom(&mut self, address: u8) -> Result<u8, ScopeError> {
        let mut string = b"[11]@[".to_vec();
        digits(address, &mut string);
        string.extend_from_slice(b"]sr");
        let what = "a byte of its EEPROM";
        let reply = self.repeatable(&string, PRINTED, what).await?;
        Ok(printed(&reply)?)
    }

    pub(super) async fn read_bytes(&mut self, register: Register) -> Result<u32, ScopeError> {
        let mut value = 0;
        for offset in 0..register.bytes() {
            let mut string = Vec::new();
            // Over datagrams `n` may not be sent twice.
            match offset {
                1.. if !self.wire.is_datagrams() => string.push(b'n'),
                _ => {
                    digits(register.address() + offset, &mut string);
                    string.push(b'@');
                }
            }
            string.push(b'p');
            let reply = self.repeatable(&string, PRINTED, "a register").await?;
            value |= u32::from(printed(&reply)?) << (8 * offset);
        }
        Ok(value)
    }

    /// Sends a string that may be sent twice, and takes its echo.
    pub(super) async fn run(&mut self, string: &[u8]) -> Result<(), ScopeError> {
        self.repeatable(string, 0, "an echo").await.map(drop)
    }

    /// Sends strings in order. Where one is lost all are sent again, because one may build on another.
    pub(super) async fn run_all(&mut self, strings: &[Vec<u8>]) -> Result<(), ScopeError> {
        let mut attempt = 1;
        let mut index = 0;
        while let Some(string) = strings.get(index) {
            match self.exchange(string, 0, "an echo").await {
                Ok(_) => index += 1,
                Err(error) if error.is_desynchronised() && attempt < self.attempts() => {
                    attempt += 1;
                    index = 0;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// An exchange that does no harm twice.
    pub(super) async fn repeatable(
        &mut self,
        string: &[u8],
        reply: usize,
        what: &'static str,
    ) -> Result<Vec<u8>, ScopeError> {
        let mut attempt = 1;
        loop {
            match self.exchange(string, reply, what).await {
                Err(error) if error.is_desynchronised() && attempt < self.attempts() => {
                    attempt += 1
                }
                result => return result,
            }
        }
    }

    /// Sends a string, takes its echo and as many bytes as follow it.
    pub(super) async fn exchange(
        &mut self,
        string: &[u8],
        reply: usize,
        what: &'static str,
    ) -> Result<Vec<u8>, ScopeError> {
        self.dirty = true;
        self.wire.clear();
        let mut sent = 0;
        while sent < string.len() {
            let count = self.wire.segment(&string[sent..]);
            let segment = &string[sent..sent + count];
            let limit = self.echo_limit(count);
            self.send(segment, limit).await?;
            self.take_echo(segment, sent, limit).await?;
            sent += count;
        }
        let limit = Duration::from_secs_f64(1.0 + reply as f64 / 10_000.0);
        self.wire.expect(reply, what, limit).await?;
        Ok(self.wire.take(reply))
    }

    pub(super) async fn send(&mut self, bytes: &[u8], limit: Duration) -> Result<(), ScopeError> {
        let clock = self.wire.clock.clone();
        let sent = clock.timeout(limit, self.wire.send(bytes)).await;
        sent.unwrap_or(Err(ScopeError::Silent {
            what: "room for a command",
            limit,
            received: 0,
            expected: bytes.len(),
        }))
    }

    async fn take_echo(
        &mut self,
        segment: &[u8],
        offset: usize,
        limit: Duration,
    ) -> Result<(), ScopeError> {
        let due = self.wire.clock.now() + limit;
        loop {
            let pairs = segment.iter().zip(self.wire.inbox());
            if let Some((index, (sent, received))) = pairs
                .enumerate()
                .find(|(_, (sent, received))| sent != received)
            {
                return Err(ScopeError::Echo {
                    position: offset + index,
                    sent: *sent,
                    received: *received,
                });
            }
            let received = self.wire.inbox().len();
            if received >= segment.len() {
                self.wire.take(segment.len());
                return Ok(());
            }
            if !self.wire.fill(Some(due)).await? {
                return Err(ScopeError::Silent {
                    what: "an echo",
                    limit,
                    received,
                    expected: segment.len(),
                });
            }
        }
    }

    /// How long the echo of so many bytes may take.
    pub(super) fn echo_limit(&self, bytes: usize) -> Duration {
        match self.wire.is_datagrams() {
            true => Duration::from_secs(1),
            false => Duration::from_secs_f64(0.5 + bytes as f64 / 5000.0),
        }
    }
}
