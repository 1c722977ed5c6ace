//! Waveform and clock.

use super::Scope;
use super::error::ScopeError;
use crate::bitscope::proto::capture::Running;
use crate::bitscope::proto::{ClockPlan, Register, WaveformPlan, WaveformRequest, write_string};

impl Scope {
    /// Starts the waveform generator, or changes it; its frequency in fact, in Hz.
    ///
    /// # Errors
    /// [`ScopeError::Waveform`], [`ScopeError::Generator`] while the clock runs; those of the link, after which it runs
    /// no more.
    pub async fn start_waveform(&mut self, request: WaveformRequest) -> Result<f64, ScopeError> {
        if self.clock_plan.is_some() {
            let (running, wanted) = ("clock", "waveform");
            return Err(ScopeError::Generator { running, wanted });
        }
        let plan = WaveformPlan::new(request)?;
        self.settle().await?;
        self.waveform = None;
        let result = self.run_all(&plan.start()).await;
        self.conclude(result).await?;
        let frequency_hz = plan.frequency_hz();
        self.waveform = Some(plan);
        Ok(frequency_hz)
    }

    /// Stops the waveform generator.
    ///
    /// # Errors
    /// Those of the link.
    pub async fn stop_waveform(&mut self) -> Result<(), ScopeError> {
        self.settle().await?;
        self.waveform = None;
        let result = self.run(&WaveformPlan::stop()).await;
        self.conclude(result).await
    }

    /// Starts the clock generator on L5, or changes it; what it is in fact. `ratio` is the part of its period in which
    /// it is high.
    ///
    /// # Errors
    /// [`ScopeError::Clock`], [`ScopeError::Generator`] while the waveform runs; those of the link, after which it runs
    /// no more.
    pub async fn start_clock(
        &mut self,
        frequency_hz: f64,
        ratio: f64,
    ) -> Result<ClockPlan, ScopeError> {
        if self.waveform.is_some() {
            let (running, wanted) = ("waveform", "clock");
            return Err(ScopeError::Generator { running, wanted });
        }
        let plan = ClockPlan::new(frequency_hz, ratio)?;
        self.settle().await?;
        self.clock_plan = None;
        let result = self.run(&clock_string(&plan)).await;
        self.conclude(result).await?;
        self.clock_plan = Some(plan);
        Ok(plan)
    }

    /// Stops the clock generator.
    ///
    /// # Errors
    /// Those of the link.
    pub async fn stop_clock(&mut self) -> Result<(), ScopeError> {
        self.settle().await?;
        self.clock_plan = None;
        let string = map_string(ClockPlan::stop_writes());
        let result = self.run(&string).await;
        self.conclude(result).await
    }

    /// Forgets the generators that ran before a raw user or another master took the device.
    pub fn forget_generators(&mut self) {
        self.waveform = None;
        self.clock_plan = None;
    }

    /// What runs besides captures.
    pub(super) fn running(&self) -> Running {
        Running {
            waveform: self.waveform.is_some(),
            clock: self.clock_plan.is_some(),
        }
    }
}

/// What starts a clock.
pub(super) fn clock_string(plan: &ClockPlan) -> Vec<u8> {
    map_string(plan.writes())
}

/// Registers, `U` because Map5 is among them, `Z`.
fn map_string(writes: Vec<(Register, u32)>) -> Vec<u8> {
    let mut string = Vec::new();
    write_string(&writes, &mut string);
    string.extend_from_slice(b"ZU");
    string
}
