//! Bytes as they are, for programs that speak the device's language themselves.

use std::time::Duration;

use super::Scope;
use super::error::ScopeError;

/// The most bytes of one raw exchange, each way.
const MAX: usize = 65536;

/// The device in the hands of a raw user. The next operation of Outpost resets the device first, also when this is
/// dropped without [`finish`](Self::finish).
pub struct Raw<'s> {
    scope: &'s mut Scope,
}

impl Raw<'_> {
    /// Sends bytes as they are. Where datagrams carry them: as one or more datagrams of commands.
    ///
    /// # Errors
    /// Those of the link; [`ScopeError::Silent`] where nothing is taken for a second.
    pub async fn send(&mut self, bytes: &[u8]) -> Result<(), ScopeError> {
        self.scope.send_raw(bytes).await
    }

    /// The next bytes of the device, at least one. Nothing is lost when this is dropped.
    ///
    /// # Errors
    /// Those of the link.
    pub async fn receive(&mut self) -> Result<Vec<u8>, ScopeError> {
        let wire = &mut self.scope.wire;
        if wire.inbox().is_empty() {
            wire.fill(None).await?;
        }
        let count = wire.inbox().len();
        Ok(wire.take(count))
    }

    /// What still answers the last bytes is welcome after the next as well: a trace that is about to be cancelled.
    pub fn keep_answers(&mut self) {
        self.scope.wire.keep_answers();
    }

    /// Gives the device back to Outpost: reset, identified, and with the generators that ran before.
    ///
    /// # Errors
    /// Those of the link.
    pub async fn finish(self) -> Result<(), ScopeError> {
        self.scope.resynchronise().await
    }
}

impl Scope {
    /// Hands the device to a raw user.
    ///
    /// # Errors
    /// Those of the link, if an earlier operation left it out of step.
    pub async fn raw_mode(&mut self) -> Result<Raw<'_>, ScopeError> {
        self.settle().await?;
        self.dirty = true;
        Ok(Raw { scope: self })
    }

    /// Sends bytes as they are; what comes back until it is quiet for so long. The device is reset afterwards.
    ///
    /// # Errors
    /// [`ScopeError::TooLong`] for more than 65536 bytes either way; those of the link.
    pub async fn raw(&mut self, bytes: &[u8], quiet: Duration) -> Result<Vec<u8>, ScopeError> {
        if bytes.len() > MAX {
            return Err(ScopeError::TooLong(bytes.len()));
        }
        self.settle().await?;
        self.dirty = true;
        let result = self.talk_raw(bytes, quiet).await;
        if matches!(result, Err(ScopeError::Link(_))) {
            return result;
        }
        self.resynchronise().await?;
        result
    }

    async fn talk_raw(&mut self, bytes: &[u8], quiet: Duration) -> Result<Vec<u8>, ScopeError> {
        let mut rest = bytes;
        let mut answer = Vec::new();
        while !rest.is_empty() {
            let (segment, after) = rest.split_at(self.wire.segment(rest));
            self.send_raw(segment).await?;
            rest = after;
            // The answers of one datagram are lost when the next is sent before they came.
            loop {
                let due = self.wire.clock.now() + quiet;
                let more = self.wire.fill(Some(due)).await?;
                let count = self.wire.inbox().len();
                answer.extend(self.wire.take(count));
                if answer.len() > MAX {
                    return Err(ScopeError::TooLong(answer.len()));
                }
                if !more {
                    break;
                }
                if !rest.is_empty() && answer.ends_with(segment) {
                    break;
                }
            }
        }
        Ok(answer)
    }

    async fn send_raw(&mut self, bytes: &[u8]) -> Result<(), ScopeError> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let (segment, after) = match self.wire.is_datagrams() {
                true => rest.split_at(self.wire.segment(rest)),
                false => (rest, &[][..]),
            };
            let limit = self.echo_limit(segment.len()) + Duration::from_secs(1);
            let clock = self.wire.clock.clone();
            let sent = clock.timeout(limit, self.wire.send(segment)).await;
            sent.unwrap_or(Err(ScopeError::Silent {
                what: "room for a command",
                limit,
                received: 0,
                expected: segment.len(),
            }))?;
            rest = after;
        }
        Ok(())
    }
}
