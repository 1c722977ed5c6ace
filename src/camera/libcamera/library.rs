//! The one camera manager of the process, and the environment it reads.
//!
//! libcamera allows one manager a process and aborts at a second, and some versions find no cameras after a restart of
//! theirs. So it is made once and kept; a backend borrows it, and whoever comes while it is lent is refused.

#![allow(unsafe_code)]

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;
use std::{env, fs};

use libcamera::camera_manager::CameraManager;

use crate::camera::backend::BackendError;

const TUNING_VARIABLE: &str = "LIBCAMERA_RPI_TUNING_FILE";
const LOG_VARIABLE: &str = "LIBCAMERA_LOG_LEVELS";
/// libcamera tells of every start and configuration otherwise.
const LOG_LEVELS: &str = "*:WARN";

static SHELF: Mutex<Shelf> = Mutex::new(Shelf::Empty);
/// Told when a lease ends.
static RETURNED: Condvar = Condvar::new();

enum Shelf {
    Empty,
    Here(Kept),
    Lent,
}

struct Kept(CameraManager);

// SAFETY: the manager is a handle to an object that libcamera's own threads serve; its functions are bound to no
// thread, only not to be called at the same time. The shelf's lock and the lease see to that.
unsafe impl Send for Kept {}

/// The manager while a backend has it; it goes back on the shelf when dropped.
pub(super) struct Lease(Option<CameraManager>);

impl Lease {
    /// Takes the manager, starting it the first time.
    ///
    /// # Errors
    /// [`BackendError::Device`] while another backend has it, or if libcamera does not start.
    pub(super) fn take() -> Result<Self, BackendError> {
        let mut shelf = SHELF.lock().unwrap_or_else(PoisonError::into_inner);
        match std::mem::replace(&mut *shelf, Shelf::Lent) {
            Shelf::Here(Kept(manager)) => Ok(Self(Some(manager))),
            Shelf::Lent => Err(BackendError::Device(
                "libcamera has not come back from an earlier order; only a restart of the service helps if it stays so"
                    .into(),
            )),
            Shelf::Empty => match CameraManager::new() {
                Ok(manager) => {
                    tracing::info!(version = manager.version(), "libcamera started");
                    Ok(Self(Some(manager)))
                }
                Err(error) => {
                    *shelf = Shelf::Empty;
                    let text = format!("libcamera does not start: {error}");
                    Err(BackendError::Device(text))
                }
            },
        }
    }

    pub(super) fn manager(&self) -> &CameraManager {
        self.0
            .as_ref()
            .expect("the manager is here because only dropping the lease takes it away")
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let mut shelf = SHELF.lock().unwrap_or_else(PoisonError::into_inner);
        *shelf = match self.0.take() {
            Some(manager) => Shelf::Here(Kept(manager)),
            None => Shelf::Empty,
        };
        RETURNED.notify_all();
    }
}

/// Ends libcamera before the process does: its threads would run into what the end of the process takes away. Waits so
/// long for a backend to give the manager back; without effect where none was ever started.
pub fn close(limit: Duration) {
    let shelf = SHELF.lock().unwrap_or_else(PoisonError::into_inner);
    let lent = |shelf: &mut Shelf| matches!(shelf, Shelf::Lent);
    let waited = RETURNED.wait_timeout_while(shelf, limit, lent);
    let (mut shelf, _) = waited.unwrap_or_else(PoisonError::into_inner);
    if let Shelf::Here(_) = *shelf {
        *shelf = Shelf::Empty;
    } else if let Shelf::Lent = *shelf {
        tracing::warn!("libcamera does not come to rest");
    }
}

/// The variables that libcamera is to find when its manager starts, as far as the environment lacks them: the tuning
/// file, and quieter logs. What the user has set stays.
///
/// libcamera has threads of its own before `main` begins, so they cannot be set in this process. It ignores them in a
/// program with file capabilities or set-uid bits.
pub fn missing_environment(tuning: Option<PathBuf>) -> Vec<(&'static str, OsString)> {
    let tuning = tuning.map(|path| (TUNING_VARIABLE, path.into_os_string()));
    tuning
        .into_iter()
        .chain([(LOG_VARIABLE, LOG_LEVELS.into())])
        .filter(|(name, _)| env::var_os(name).is_none())
        .collect()
}

/// Whether the environment names a tuning file.
pub fn has_tuning() -> bool {
    env::var_os(TUNING_VARIABLE).is_some()
}

/// The tuning file that libcamera uses because of the environment; "" where it uses its own.
pub(super) fn tuning_in_use() -> String {
    let path = env::var_os(TUNING_VARIABLE);
    path.and_then(|path| fs::read_to_string(path).ok())
        .unwrap_or_default()
}
