//! What one client of the spectrometer may do.

use std::rc::Rc;

use super::proto::Calibration;
use super::{Client, Frame, Order, Shared, Spectrometer, SpectrometerError};

impl Client {
    /// The spectrometer.
    pub fn spectrometer(&self) -> &Spectrometer {
        &self.spectrometer
    }

    /// Exposes once. Joins whoever else waits for the exposure that starts next.
    ///
    /// # Errors
    /// [`SpectrometerError`]. Dropping the future leaves the exposure to the others.
    pub async fn take(&self) -> Result<Rc<Frame>, SpectrometerError> {
        self.touch();
        self.spectrometer.ask(|reply| Order::Take { reply }).await
    }

    /// Sets the exposure, in milliseconds; takes control if nobody has it.
    ///
    /// # Errors
    /// [`SpectrometerError::Controlled`], [`SpectrometerError::Elsewhere`], and those of the link.
    pub async fn set_exposure(&self, ms: u32) -> Result<(), SpectrometerError> {
        self.claim()?;
        let client = self.id;
        self.spectrometer
            .ask(|reply| Order::SetExposure { client, ms, reply })
            .await
    }

    /// Sets the calibration; takes control if nobody has it.
    ///
    /// # Errors
    /// As [`set_exposure`](Self::set_exposure).
    pub async fn set_calibration(&self, calibration: Calibration) -> Result<(), SpectrometerError> {
        self.claim()?;
        let client = self.id;
        self.spectrometer
            .ask(|reply| Order::SetCalibration {
                client,
                calibration,
                reply,
            })
            .await
    }

    /// Whether this client has control.
    pub fn has_control(&self) -> bool {
        let mut control = self.shared().control.borrow_mut();
        control.expire(self.shared().now());
        control.holds(self.id)
    }

    /// Takes control from whoever has it.
    pub fn take_control(&self) {
        let now = self.shared().now();
        self.shared().control.borrow_mut().take(self.id, now);
    }

    /// Lets go of control.
    pub fn release_control(&self) {
        self.shared().control.borrow_mut().release(self.id);
    }

    /// Notes that this client is not idle.
    pub fn touch(&self) {
        let now = self.shared().now();
        self.shared().control.borrow_mut().touch(self.id, now);
    }

    fn claim(&self) -> Result<(), SpectrometerError> {
        let now = self.shared().now();
        let claimed = self.shared().control.borrow_mut().claim(self.id, now);
        claimed.map_err(|holder| SpectrometerError::Controlled { holder })
    }

    fn shared(&self) -> &Shared {
        &self.spectrometer.shared
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.shared().control.borrow_mut().leave(self.id);
    }
}
