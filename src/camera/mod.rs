//! The Raspberry Pi HQ camera (IMX477): settings, capture sequences, and the backends that give frames.

pub mod backend;
pub mod replay;
pub mod sim;
