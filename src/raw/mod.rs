//! Pixels and picture files: kernels over packed sensor frames and thermal images, and writers of file formats.
//!
//! Nothing here does I/O beyond `impl Write + Seek`, knows a clock, or starts a task.

pub mod formats;
pub mod kernels;
pub mod layout;
pub mod mode;

pub use formats::{Format, FormatError, Picture, Tags};
pub use kernels::{KernelError, Kernels, Reducer};
pub use layout::{BayerOrder, Layout, LayoutError, Packing, Window, WindowError};
pub use mode::{MAX_BINNING_ROUNDS, Mode, ModeError, Shape};
