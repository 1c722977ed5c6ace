//! What goes wrong at the Tinycloud, and when.

/// What goes wrong on the next occasion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    Request500,
    RequestClosed,
    RequestHtml,
    RequestReplyLost,
    RequestSlow,
    Request409,
    RequestBadTicket,
    Redirect,
    Status500,
    Status404,
    StatusClosed,
    StatusUploading,
    StatusRejected,
    PasswordRefused,
    CutAfterHalf,
    NoSpace,
    AckLost,
    HostKeyChanged,
    SlowTransfer,
}

impl Fault {
    pub const ALL: [Fault; 19] = [
        Fault::Request500,
        Fault::RequestClosed,
        Fault::RequestHtml,
        Fault::RequestReplyLost,
        Fault::RequestSlow,
        Fault::Request409,
        Fault::RequestBadTicket,
        Fault::Redirect,
        Fault::Status500,
        Fault::Status404,
        Fault::StatusClosed,
        Fault::StatusUploading,
        Fault::StatusRejected,
        Fault::PasswordRefused,
        Fault::CutAfterHalf,
        Fault::NoSpace,
        Fault::AckLost,
        Fault::HostKeyChanged,
        Fault::SlowTransfer,
    ];

    /// When it strikes.
    pub fn place(self) -> Place {
        match self {
            Fault::Request500
            | Fault::RequestClosed
            | Fault::RequestHtml
            | Fault::RequestReplyLost
            | Fault::RequestSlow
            | Fault::Request409
            | Fault::RequestBadTicket
            | Fault::Redirect => Place::Request,
            Fault::Status500
            | Fault::Status404
            | Fault::StatusClosed
            | Fault::StatusUploading
            | Fault::StatusRejected => Place::Status,
            _ => Place::File,
        }
    }
}

/// An occasion for something to go wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Place {
    Request,
    Status,
    File,
}
