//! scpi
