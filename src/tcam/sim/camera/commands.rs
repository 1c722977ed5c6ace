//! What the camera does with each command, and what it answers.

use std::time::Duration;

use super::{Camera, Interface, Pending, Stream};
use crate::tcam::proto::command::{SetConfig, StreamOn};
use crate::tcam::proto::response::{Config as ConfigAnswer, Status};
use crate::tcam::proto::{CamInfo, Command, FluxLinear, Name, Rejection, Response};
use crate::tcam::sim::calendar::Calendar;
use crate::tcam::sim::lepton::FFC_DURATION;

/// The user has that long to press the camera's button for new firmware.
const UPDATE_LIMIT: Duration = Duration::from_secs(60);
/// From `set_wifi` to dropping the connection: later than any answer.
const WIFI_RESTART: Duration = Duration::from_millis(100);
/// How long it takes where the real camera crashes.
const CRASH: Duration = Duration::from_secs(3);

impl Camera {
    pub(super) fn execute(&mut self, command: Result<Command, Rejection>, now: Duration) {
        let hardware = self.config.interface == Interface::Hardware;
        match command {
            Ok(Command::GetWifi | Command::SetWifi(_)) | Err(Rejection::Failed(Name::SetWifi))
                if hardware =>
            {
                self.meet_wifi(now);
            }
            Ok(command) => self.run(command, now),
            Err(rejection) => self.answer(&Response::CamInfo((&rejection).into()), now),
        }
    }

    fn run(&mut self, command: Command, now: Duration) {
        let name = command.name();
        let answer = match command {
            Command::GetStatus => Response::Status(Status {
                metadata: self.metadata(now),
                extra: Default::default(),
            }),
            Command::GetConfig => Response::Config(self.config_answer()),
            Command::GetWifi => Response::Wifi(self.wifi.clone()),
            Command::GetLepCci(read) => Response::CciReg(self.lepton.read_register(read, now)),
            Command::SetLepCci(write) => Response::CciReg(self.lepton.write_register(write, now)),
            Command::GetImage => {
                self.stream = None;
                self.pending = Some(Pending::Single);
                return self.lepton.await_frame(now);
            }
            // One that nobody asked for.
            Command::FwSegment(_) => return,
            Command::StreamOn(stream) => return self.start_stream(stream, now),
            command => {
                self.change(command, now);
                Response::CamInfo(CamInfo::ack(name))
            }
        };
        self.answer(&answer, now);
    }

    /// The commands that only change something.
    fn change(&mut self, command: Command, now: Duration) {
        match command {
            Command::SetTime(time) => self.calendar = Calendar::set(time, now),
            Command::SetConfig(config) => self.set_config(config),
            Command::SetSpotmeter(area) => self.lepton.settings.spot = area,
            Command::StreamOff => self.stream = None,
            Command::RunFfc => self.lepton.run_ffc(FFC_DURATION, now),
            Command::SetWifi(wifi) => {
                wifi.apply(&mut self.wifi);
                if self.config.wifi_disconnects {
                    self.disconnect_at = Some(now + WIFI_RESTART);
                }
            }
            Command::FwUpdateRequest(_) => {
                self.stream = None;
                self.update_until = Some(now + UPDATE_LIMIT);
            }
            // The others do not come here.
            _ => {}
        }
    }

    fn set_config(&mut self, config: SetConfig) {
        let settings = &mut self.lepton.settings;
        settings.agc = config.agc_enabled.unwrap_or(settings.agc);
        settings.gain = config.gain_mode.unwrap_or(settings.gain);
        if let Some(percent) = config.emissivity {
            // The firmware writes all eight parameters.
            settings.flux = FluxLinear {
                emissivity: FluxLinear::emissivity_word(percent),
                ..FluxLinear::default()
            };
        }
    }

    /// The first image comes after the answer.
    fn start_stream(&mut self, stream: StreamOn, now: Duration) {
        let StreamOn {
            delay_msec,
            num_frames,
        } = stream;
        self.stream = Some(Stream {
            delay: Duration::from_millis(delay_msec.into()),
            left: (num_frames > 0).then_some(num_frames),
            next_due: self.answer_due(now),
        });
        self.answer_at(
            &Response::CamInfo(CamInfo::ack(Name::StreamOn)),
            self.stream.map_or(now, |stream| stream.next_due),
        );
    }

    /// The commands that crash a camera in hardware mode.
    fn meet_wifi(&mut self, now: Duration) {
        if self.config.wifi_crashes {
            tracing::warn!("get_wifi or set_wifi on the hardware interface: the camera crashes");
            return self.restart(CRASH, now);
        }
        tracing::warn!(
            "get_wifi or set_wifi on the hardware interface: a real camera would crash, never send it"
        );
        self.answer(&Response::CamInfo((&Rejection::Unsupported).into()), now);
    }

    fn config_answer(&self) -> ConfigAnswer {
        let settings = &self.lepton.settings;
        ConfigAnswer {
            agc_enabled: settings.agc,
            emissivity: settings.flux.emissivity_percent(),
            gain_mode: settings.gain,
        }
    }
}
