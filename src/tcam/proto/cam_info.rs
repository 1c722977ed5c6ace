//! `cam_info`: success, failure, or a message nobody asked for.
//!
//! ```text
//! {"cam_info":{"info_value":1,"info_string":"set_time success"}}
//! ```

use super::command::{Command, Rejection};
use super::json::write_string;
use super::name::Name;
use super::response::{Answer, write};

/// What a [`CamInfo`] is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InfoKind {
    /// 0: the command failed.
    Failed,
    /// 1: the command succeeded.
    Success,
    /// 2: not implemented, or not a command.
    NotImplemented,
    /// 3: not JSON.
    NotJson,
    /// 4: an internal error, unsolicited.
    Internal,
    /// 5: debug.
    Debug,
    /// 6: the state of a firmware update, unsolicited.
    FirmwareUpdate,
    /// Not documented.
    Other(i32),
}

impl InfoKind {
    /// By the number.
    pub fn from_wire(number: i32) -> Self {
        match number {
            0 => Self::Failed,
            1 => Self::Success,
            2 => Self::NotImplemented,
            3 => Self::NotJson,
            4 => Self::Internal,
            5 => Self::Debug,
            6 => Self::FirmwareUpdate,
            other => Self::Other(other),
        }
    }

    /// The number.
    pub fn to_wire(self) -> i32 {
        match self {
            Self::Failed => 0,
            Self::Success => 1,
            Self::NotImplemented => 2,
            Self::NotJson => 3,
            Self::Internal => 4,
            Self::Debug => 5,
            Self::FirmwareUpdate => 6,
            Self::Other(other) => other,
        }
    }
}

/// A number and a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CamInfo {
    /// `info_value`.
    pub kind: InfoKind,
    /// `info_string`.
    pub text: String,
}

impl CamInfo {
    /// Text of the internal error after which no image comes until power is cycled.
    pub const SPI_RESTART: &'static str = "SPI Slave restart error - images disabled";
    /// The same, from another place in the firmware.
    pub const SPI_SETUP: &'static str = "Setup SPI Slave failed - images disabled";
    /// The Lepton cannot be reached, told at boot.
    pub const CCI_INIT: &'static str = "(FATAL) Lepton CCI initialization failed";

    /// A message.
    pub fn new(kind: InfoKind, text: impl Into<String>) -> Self {
        Self {
            kind,
            text: text.into(),
        }
    }

    /// `<name> success`.
    pub fn ack(name: Name) -> Self {
        Self::new(InfoKind::Success, format!("{name} success"))
    }

    /// `<name> failed`.
    pub fn nack(name: Name) -> Self {
        Self::new(InfoKind::Failed, format!("{name} failed"))
    }

    /// The command it answers, which its text begins with.
    pub fn name(&self) -> Option<Name> {
        let answers = matches!(self.kind, InfoKind::Failed | InfoKind::Success);
        let word = self.text.split(' ').next().filter(|_| answers)?;
        Name::parse(word)
    }

    /// Whether nobody asked: it is for the log and never an answer.
    pub fn is_unsolicited(&self) -> bool {
        use InfoKind::*;
        matches!(self.kind, Internal | Debug | FirmwareUpdate | Other(_))
    }

    /// Whether the camera gives no image from now on, until power is cycled.
    pub fn is_fatal(&self) -> bool {
        self.kind == InfoKind::Internal
            && (self.text.ends_with("images disabled") || self.text.starts_with("(FATAL)"))
    }

    pub(super) fn answers(&self, command: &Command) -> Answer {
        match self.kind {
            InfoKind::NotImplemented | InfoKind::NotJson => Answer::Refused,
            InfoKind::Failed if self.name() == Some(command.name()) => Answer::Refused,
            // The one failure that begins with another text.
            InfoKind::Failed if self.name().is_none() && matches!(command, Command::SetWifi(_)) => {
                Answer::Refused
            }
            InfoKind::Success if self.name() == Some(command.name()) => Answer::Success,
            _ => Answer::Unrelated,
        }
    }

    pub(super) fn write_json(&self, out: &mut Vec<u8>) {
        let value = self.kind.to_wire();
        write(
            out,
            format_args!("{{\"cam_info\":{{\"info_value\":{value},\"info_string\":"),
        );
        write_string(&self.text, out);
        out.extend_from_slice(b"}}");
    }
}

impl From<&Rejection> for CamInfo {
    fn from(rejection: &Rejection) -> Self {
        match rejection {
            Rejection::NotJson => Self::new(InfoKind::NotJson, "Couldn't convert json string"),
            Rejection::NotCommand => {
                Self::new(InfoKind::NotImplemented, "Json string wasn't command")
            }
            Rejection::Unknown => {
                Self::new(InfoKind::NotImplemented, "Unknown command in json string")
            }
            Rejection::Unsupported => Self::new(
                InfoKind::NotImplemented,
                "Unsupported command in json string",
            ),
            Rejection::Failed(name) => Self::nack(*name),
        }
    }
}
