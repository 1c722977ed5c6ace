//! Pixels and picture files: kernels over packed sensor frames and writers of file formats.
//!
//! Nothing here does I/O beyond `impl Write + Seek`, knows a clock, or starts a task.

pub mod layout;

pub use layout::{BayerOrder, Layout, Packing, Window};
