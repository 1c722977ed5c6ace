//! An open link: one command, its reply, each within its time.

use std::io;
use std::time::Duration;

use futures_lite::future::poll_once;
use futures_lite::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::base::clock::Clock;
use crate::base::error::Kind;
use crate::base::trace::{Direction, Trace};
use crate::msp1000::proto::reply::MAX_REPLY;
use crate::msp1000::proto::{Calibration, Command, RawFrame, Reply, ReplyDecoder, ReplyError};

/// For the answer to a query, and for a command to go out.
pub const QUERY_TIMEOUT: Duration = Duration::from_secs(2);
/// For a frame.
pub const FRAME_TIMEOUT: Duration = Duration::from_secs(3);
/// For the end of an exposure, beyond the exposure itself.
pub const TAKE_MARGIN: Duration = Duration::from_secs(2);

/// An instrument that claims to expose for longer is not waited for: the sensor has long been full of dark current.
pub const MAX_EXPOSURE: Duration = Duration::from_secs(600);

/// Unasked bytes that are read and dropped before a command; a device that sends more never stops.
const MAX_UNASKED: usize = 16 * MAX_REPLY;

/// What became of a setting.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Setting<T> {
    /// The instrument has it.
    Accepted(T),
    /// The instrument kept another value: another connection has control.
    Elsewhere {
        /// Sent.
        asked: T,
        /// Read back.
        kept: T,
    },
}

/// Why a command failed. After any of these the link is of no more use.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// No answer.
    #[error("the spectrometer did not answer {command} within {limit:?}")]
    TimedOut {
        /// The command's word.
        command: &'static str,
        /// How long was waited.
        limit: Duration,
    },
    /// The connection is closed.
    #[error("the spectrometer closed the connection while {command} was to be answered")]
    Closed {
        /// The command's word.
        command: &'static str,
    },
    /// The connection failed.
    #[error("the connection to the spectrometer failed at {command}")]
    Io {
        /// The command's word.
        command: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The answer makes no sense.
    #[error("{command} was answered wrongly")]
    Malformed {
        /// The command's word.
        command: &'static str,
        /// How.
        #[source]
        source: ReplyError,
    },
    /// The instrument talks without being asked, and does not stop.
    #[error("the spectrometer sends data without end that nobody asked for")]
    Babble,
    /// An earlier command failed or was given up.
    #[error("an earlier command on this connection got no answer: reconnect to the spectrometer")]
    Unusable,
}

impl LinkError {
    /// The kind as which this failure leaves the instrument.
    pub fn kind(&self) -> Kind {
        match self {
            Self::TimedOut { .. } => Kind::TimedOut,
            Self::Closed { .. } | Self::Io { .. } | Self::Unusable => Kind::Absent,
            Self::Malformed { .. } | Self::Babble => Kind::Hardware,
        }
    }
}

/// A link to an instrument. One command at a time; dropping a call's future makes the link unusable.
pub struct Link<S> {
    stream: S,
    decoder: ReplyDecoder,
    buffer: Box<[u8; MAX_REPLY]>,
    clock: Clock,
    trace: Trace,
    /// No command is under way or has failed.
    usable: bool,
    /// Last known; what a take waits for.
    exposure_ms: Option<u32>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Link<S> {
    /// A link on an open stream, on which nothing has been sent yet.
    pub fn new(stream: S, clock: Clock, trace: Trace) -> Self {
        Self {
            stream,
            decoder: ReplyDecoder::new(),
            buffer: Box::new([0; MAX_REPLY]),
            clock,
            trace,
            usable: true,
            exposure_ms: None,
        }
    }

    /// Whether commands may still be sent.
    pub fn is_usable(&self) -> bool {
        self.usable
    }

    /// Lines that came and are none of the protocol's.
    pub fn skipped_lines(&self) -> u64 {
        self.decoder.skipped_lines()
    }

    /// The exposure that is set, in milliseconds.
    ///
    /// # Errors
    /// [`LinkError`].
    pub async fn exposure(&mut self) -> Result<u32, LinkError> {
        let pick = |reply| match reply {
            Reply::Exposure(ms) => Some(ms),
            _ => None,
        };
        let ms = self
            .exchange(&Command::GetExposure, QUERY_TIMEOUT, pick)
            .await?;
        self.exposure_ms = Some(ms);
        Ok(ms)
    }

    /// Sets the exposure, in milliseconds, and reads it back.
    ///
    /// # Errors
    /// [`LinkError`].
    pub async fn set_exposure(&mut self, ms: u32) -> Result<Setting<u32>, LinkError> {
        self.tell(&Command::SetExposure(ms)).await?;
        let kept = self.exposure().await?;
        Ok(setting(ms, kept))
    }

    /// The calibration that is set.
    ///
    /// # Errors
    /// [`LinkError`].
    pub async fn calibration(&mut self) -> Result<Calibration, LinkError> {
        let pick = |reply| match reply {
            Reply::Calibration(calibration) => Some(calibration),
            _ => None,
        };
        self.exchange(&Command::GetCalibration, QUERY_TIMEOUT, pick)
            .await
    }

    /// Sets the calibration and reads it back.
    ///
    /// # Errors
    /// [`LinkError`].
    pub async fn set_calibration(
        &mut self,
        calibration: Calibration,
    ) -> Result<Setting<Calibration>, LinkError> {
        self.tell(&Command::SetCalibration(calibration)).await?;
        let kept = self.calibration().await?;
        Ok(setting(calibration, kept))
    }

    /// Exposes once; returns when that is over. Asks for the exposure first if it is not known.
    ///
    /// # Errors
    /// [`LinkError`].
    pub async fn take(&mut self) -> Result<(), LinkError> {
        let ms = match self.exposure_ms {
            Some(ms) => ms,
            None => self.exposure().await?,
        };
        let limit = Duration::from_millis(ms.into()).min(MAX_EXPOSURE) + TAKE_MARGIN;
        let pick = |reply| matches!(reply, Reply::SpectrumComplete).then_some(());
        self.exchange(&Command::TakeSpectrum, limit, pick).await
    }

    /// The frame of the last exposure.
    ///
    /// # Errors
    /// [`LinkError`].
    pub async fn spectrum(&mut self) -> Result<RawFrame, LinkError> {
        let pick = |reply| match reply {
            Reply::Spectrum(frame) => Some(frame),
            _ => None,
        };
        self.exchange(&Command::GetSpectrum, FRAME_TIMEOUT, pick)
            .await
    }

    /// Forgets the exposure, so that the next take asks for it: somebody else may have changed it.
    pub fn forget_exposure(&mut self) {
        self.exposure_ms = None;
    }

    /// Ends the connection in order.
    pub async fn close(&mut self) {
        self.usable = false;
        let closing = self.stream.close();
        let _ = self.clock.timeout(QUERY_TIMEOUT, closing).await;
    }

    /// Sends a command that has no reply.
    async fn tell(&mut self, command: &Command) -> Result<(), LinkError> {
        self.begin(command, QUERY_TIMEOUT).await?;
        self.usable = true;
        Ok(())
    }

    /// Sends a command and waits for the reply that `pick` wants; others are passed over.
    async fn exchange<T>(
        &mut self,
        command: &Command,
        limit: Duration,
        pick: impl Fn(Reply) -> Option<T>,
    ) -> Result<T, LinkError> {
        self.begin(command, QUERY_TIMEOUT).await?;
        let clock = self.clock.clone();
        let word = command.word();
        let timed_out = LinkError::TimedOut {
            command: word,
            limit,
        };
        let wait = async {
            loop {
                if let Some(wanted) = pick(self.receive(word).await?) {
                    return Ok(wanted);
                }
            }
        };
        let wanted = clock.timeout(limit, wait).await.ok_or(timed_out)??;
        self.usable = true;
        Ok(wanted)
    }

    /// Drops what nobody asked for, then sends. The link counts as unusable until the caller says otherwise.
    async fn begin(&mut self, command: &Command, limit: Duration) -> Result<(), LinkError> {
        if !self.usable {
            return Err(LinkError::Unusable);
        }
        self.usable = false;
        let word = command.word();
        self.drop_unasked(word).await?;
        let mut line = Vec::new();
        command.encode(&mut line);
        self.trace.note(Direction::Sent, || {
            String::from_utf8_lossy(line.trim_ascii_end()).into()
        });
        let stream = &mut self.stream;
        let send = async {
            stream.write_all(&line).await?;
            stream.flush().await
        };
        let sent = self.clock.timeout(limit, send).await;
        let failed = |source| LinkError::Io {
            command: word,
            source,
        };
        let timed_out = LinkError::TimedOut {
            command: word,
            limit,
        };
        sent.ok_or(timed_out)?.map_err(failed)
    }

    /// A surplus reply, such as one to a set command, must not pass for the answer to the next query.
    async fn drop_unasked(&mut self, word: &'static str) -> Result<(), LinkError> {
        let mut dropped = 0;
        loop {
            while let Some(reply) = self.decoder.next() {
                self.note(&reply, "unasked ");
            }
            match poll_once(self.stream.read(&mut self.buffer[..])).await {
                Some(read) => dropped += self.arrived(read, word)?,
                None => return Ok(()),
            }
            if dropped > MAX_UNASKED {
                return Err(LinkError::Babble);
            }
        }
    }

    async fn receive(&mut self, word: &'static str) -> Result<Reply, LinkError> {
        loop {
            if let Some(reply) = self.decoder.next() {
                self.note(&reply, "");
                return reply.map_err(|source| LinkError::Malformed {
                    command: word,
                    source,
                });
            }
            let read = self.stream.read(&mut self.buffer[..]).await;
            self.arrived(read, word)?;
        }
    }

    fn arrived(&mut self, read: io::Result<usize>, word: &'static str) -> Result<usize, LinkError> {
        match read {
            Ok(0) => Err(LinkError::Closed { command: word }),
            // How TLS tells that the connection was cut.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                Err(LinkError::Closed { command: word })
            }
            Err(source) => Err(LinkError::Io {
                command: word,
                source,
            }),
            Ok(count) => {
                self.decoder.push(&self.buffer[..count]);
                Ok(count)
            }
        }
    }

    fn note(&self, reply: &Result<Reply, ReplyError>, prefix: &str) {
        self.trace.note(Direction::Received, || match reply {
            Ok(Reply::Spectrum(_)) => format!("{prefix}spectrum:<7388 bytes>"),
            Ok(reply) => {
                let mut line = Vec::new();
                reply.encode(&mut line);
                format!("{prefix}{}", String::from_utf8_lossy(line.trim_ascii_end()))
            }
            Err(error) => format!("{prefix}{error}"),
        });
    }
}

impl<S> std::fmt::Debug for Link<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Link")
            .field("usable", &self.usable)
            .finish_non_exhaustive()
    }
}

fn setting<T: PartialEq>(asked: T, kept: T) -> Setting<T> {
    match asked == kept {
        true => Setting::Accepted(kept),
        false => Setting::Elsewhere { asked, kept },
    }
}
