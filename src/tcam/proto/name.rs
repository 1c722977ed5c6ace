//! The names of the commands.

use std::fmt;

/// The name of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Name {
    /// `get_status`
    GetStatus,
    /// `get_image`
    GetImage,
    /// `set_time`
    SetTime,
    /// `get_config`
    GetConfig,
    /// `set_config`
    SetConfig,
    /// `set_spotmeter`
    SetSpotmeter,
    /// `stream_on`
    StreamOn,
    /// `stream_off`
    StreamOff,
    /// `run_ffc`
    RunFfc,
    /// `get_lep_cci`
    GetLepCci,
    /// `set_lep_cci`
    SetLepCci,
    /// `get_wifi`
    GetWifi,
    /// `set_wifi`
    SetWifi,
    /// `fw_update_request`
    FwUpdateRequest,
    /// `fw_segment`
    FwSegment,
}

const NAMES: [(Name, &str); 15] = [
    (Name::GetStatus, "get_status"),
    (Name::GetImage, "get_image"),
    (Name::SetTime, "set_time"),
    (Name::GetConfig, "get_config"),
    (Name::SetConfig, "set_config"),
    (Name::SetSpotmeter, "set_spotmeter"),
    (Name::StreamOn, "stream_on"),
    (Name::StreamOff, "stream_off"),
    (Name::RunFfc, "run_ffc"),
    (Name::GetLepCci, "get_lep_cci"),
    (Name::SetLepCci, "set_lep_cci"),
    (Name::GetWifi, "get_wifi"),
    (Name::SetWifi, "set_wifi"),
    (Name::FwUpdateRequest, "fw_update_request"),
    (Name::FwSegment, "fw_segment"),
];

impl Name {
    /// By the text, in its own case.
    pub fn parse(text: &str) -> Option<Self> {
        let found = NAMES.iter().find(|(_, name)| *name == text);
        found.map(|(name, _)| *name)
    }

    /// The text.
    pub fn as_str(self) -> &'static str {
        NAMES[self as usize].1
    }

    /// Whether it crashes a camera in hardware mode, or needs a link that mode does not have: never send it there.
    pub fn is_network_only(self) -> bool {
        use Name::*;
        matches!(self, GetWifi | SetWifi | FwUpdateRequest | FwSegment)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
