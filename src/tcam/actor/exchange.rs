//! One command and its answer, while images and messages come in between.

use std::io;

use super::shift::Shift;
use crate::base::error::{Failure, Kind};
use crate::tcam::driver::Event;
use crate::tcam::proto::{Answer, CamInfo, Command, InfoKind, Name, Response};
use crate::tcam::{LinkKind, TcamError};

/// Why the camera is not served on.
#[derive(Debug, thiserror::Error)]
pub(super) enum Trouble {
    /// No answer in time.
    #[error("the thermal camera did not answer {command} within {waited_ms} ms")]
    Timeout { command: Name, waited_ms: u64 },
    /// A refusal of a command that nobody but this station asked for.
    #[error("the thermal camera refused {command}: {}", info.text)]
    Refused { command: Name, info: CamInfo },
    /// The link broke.
    #[error("the link to the thermal camera broke: {0}")]
    Link(#[from] io::Error),
    /// The camera gives no image until its power is cycled.
    #[error("the thermal camera needs its power cycled: {0}")]
    Fatal(String),
}

impl Trouble {
    /// Whether only the reset or supply line helps.
    pub(super) fn needs_reset(&self) -> bool {
        matches!(self, Self::Fatal(_))
    }

    /// For the health book and for sessions.
    pub(super) fn into_failure(self, link: LinkKind) -> Failure {
        match self {
            Self::Timeout { .. } => {
                let cure = match link {
                    LinkKind::Hardware => {
                        "check power, the MODE jumper, RX and TX; the login console must not use the UART"
                    }
                    LinkKind::Network => "another client may hold it: the camera serves one",
                };
                Failure::new(Kind::Absent, format!("{self} ({cure})"))
            }
            Self::Link(_) => Failure::new(Kind::Absent, self.to_string()),
            Self::Refused { .. } | Self::Fatal(_) => Failure::new(Kind::Hardware, self.to_string()),
        }
    }

    /// For whoever sent the command.
    pub(super) fn reply(&self) -> TcamError {
        match self {
            Self::Timeout { command, waited_ms } => TcamError::Timeout {
                command: *command,
                waited_ms: *waited_ms,
            },
            Self::Refused { command, info } => TcamError::Refused {
                command: *command,
                info: info.clone(),
            },
            Self::Link(_) | Self::Fatal(_) => TcamError::Absent(self.to_string()),
        }
    }
}

impl Shift<'_> {
    /// Sends a command and waits for its answer; whatever else comes is dealt with meanwhile.
    ///
    /// # Errors
    /// [`Trouble`]; after a time-out the next answer of this kind may be the missing one.
    pub(super) async fn exchange(
        &mut self,
        command: &Command,
    ) -> Result<Response<'static>, Trouble> {
        let name = command.name();
        let (clock, limit) = (self.shared.clock.clone(), self.shared.response_timeout);
        self.link.submit(command);
        self.shared.health.count("commands");
        let mut sent_twice = false;
        let mut due = clock.now() + limit;
        loop {
            let event = futures_lite::future::or(async { Some(self.link.event().await) }, async {
                clock.sleep_until(due).await;
                None
            });
            let event = match event.await {
                Some(event) => event?,
                None => {
                    self.shared.health.count("timeouts");
                    self.count_framing();
                    return Err(Trouble::Timeout {
                        command: name,
                        waited_ms: limit.as_millis() as u64,
                    });
                }
            };
            let response = match event {
                Event::Response(response) => response,
                other => {
                    self.absorb(other)?;
                    continue;
                }
            };
            match (response.answers(command), response) {
                (Answer::Success, response) => return Ok(response),
                // What was left in the camera's buffer by somebody else has spoiled the command.
                (Answer::Refused, Response::CamInfo(info))
                    if info.kind == InfoKind::NotJson && !sent_twice =>
                {
                    sent_twice = true;
                    due = clock.now() + limit;
                    self.link.submit(command);
                }
                (Answer::Refused, Response::CamInfo(info)) => {
                    self.shared.health.count("refused");
                    return Err(Trouble::Refused {
                        command: name,
                        info,
                    });
                }
                (_, response) => self.absorb(Event::Response(response))?,
            }
        }
    }
}
