//! One camera of libcamera: found by model, configured as wished for, its controls and limits read.

use std::collections::BTreeMap;
use std::io;

use libcamera::camera::{ActiveCamera, CameraConfiguration, SensorConfiguration};
use libcamera::camera_manager::CameraList;
use libcamera::control::{ControlInfo, ControlList};
use libcamera::control_value::ControlValue;
use libcamera::controls::ControlId;
use libcamera::geometry::{Rectangle, Size};
use libcamera::pixel_format::PixelFormat;
use libcamera::properties::Model;
use libcamera::stream::{Stream, StreamRole};

use super::library::Lease;
use super::memory::FramePlanes;
use super::subdevice;
use crate::camera::backend::{BackendError, Controls, Limits};
use crate::camera::choice::{Found, Ranges, Value, choose_camera, choose_controls, limits};
use crate::camera::stream_format::{
    DrmFormat, NV12, Role, StreamWish, Validated, bayer_order, layout,
};
use crate::raw::{BayerOrder, Layout};

/// Bits of a sample as the sensor reads it out.
const BIT_DEPTH: u32 = 12;

/// An acquired camera.
pub(super) struct Device {
    pub(super) camera: ActiveCamera<'static>,
    /// Numbers of the controls that the camera has, by libcamera's names.
    controls: BTreeMap<String, u32>,
    full_crop: Option<[u32; 4]>,
    /// Below `camera`, so that it goes back last.
    _lease: Lease,
}

/// A configuration in effect.
pub(super) struct Configured {
    pub(super) stream: Stream,
    pub(super) layout: Layout,
    pub(super) planes: FramePlanes,
    pub(super) limits: Limits,
    /// The camera has exposure control, so it is a sensor with a pace of its own.
    pub(super) is_sensor: bool,
}

impl Device {
    /// Takes the first camera of that model for this process.
    ///
    /// # Errors
    /// [`BackendError::Device`]: there is none, or another program has it.
    pub(super) fn acquire(model: &str) -> Result<Self, BackendError> {
        let lease = Lease::take()?;
        let cameras: CameraList<'static> = lease.manager().cameras();
        let found: Vec<Found> = (0..cameras.len())
            .filter_map(|at| cameras.get(at))
            .map(|camera| Found {
                id: camera.id().to_owned(),
                model: camera
                    .properties()
                    .get::<Model>()
                    .map_or_else(|_| String::new(), |model| model.0),
            })
            .collect();
        let chosen = choose_camera(&found, model)
            .map_err(|error| BackendError::Device(error.to_string()))?;
        let camera = cameras
            .get(chosen)
            .ok_or_else(|| BackendError::Device("the camera has just left".into()))?;
        let id = &found[chosen].id;
        let camera = camera.acquire().map_err(|error| {
            BackendError::Device(format!(
                "the camera {id} cannot be had, perhaps another program uses it: {error}"
            ))
        })?;
        tracing::info!(id, "camera acquired");
        Ok(Self {
            camera,
            controls: BTreeMap::new(),
            full_crop: None,
            _lease: lease,
        })
    }

    /// Configures the stream and reads back what it has become.
    ///
    /// # Errors
    /// [`BackendError::Device`]: no such stream, or it is not what was wished for.
    pub(super) fn configure(
        &mut self,
        wish: &StreamWish,
        buffers: u32,
    ) -> Result<Configured, BackendError> {
        let mut configuration = self.wanted(wish, buffers)?;
        let status = configuration.validate();
        if status.is_invalid() {
            return Err(BackendError::Device(format!(
                "libcamera refuses the stream {}",
                configuration.to_string_repr()
            )));
        }
        // Seen before it is tried: a format that is of no use is named as such.
        verdict(wish, &configuration)?;
        self.camera
            .configure(&mut configuration)
            .map_err(|error| failed("configured", &error))?;
        let (layout, validated) = verdict(wish, &configuration)?;
        let stream = configuration.get(0).and_then(|stream| stream.stream());
        let stream =
            stream.ok_or_else(|| BackendError::Device("libcamera gave no stream".into()))?;
        let ranges = self.read_controls();
        let size = (validated.width, validated.height);
        let timing = subdevice::timing(&wish.model, size);
        let limits = limits(&ranges, timing.as_ref());
        tracing::debug!(
            configuration = configuration.to_string_repr(),
            ?layout,
            ?limits,
            ?timing,
            "camera configured"
        );
        Ok(Configured {
            stream,
            layout,
            planes: planes(wish, &validated),
            limits,
            is_sensor: ranges.exposure_us.is_some(),
        })
    }

    fn wanted(&self, wish: &StreamWish, buffers: u32) -> Result<CameraConfiguration, BackendError> {
        let (role, name) = match wish.role {
            Role::Raw(_) => (StreamRole::Raw, "raw"),
            Role::Viewfinder => (StreamRole::ViewFinder, "viewfinder"),
        };
        let lacking = || BackendError::Device(format!("the camera has no {name} stream"));
        let mut configuration = self
            .camera
            .generate_configuration(&[role])
            .ok_or_else(lacking)?;
        let mut stream = configuration.get_mut(0).ok_or_else(lacking)?;
        if let Some((width, height)) = wish.size {
            stream.set_size(Size::new(width, height));
        }
        let size = stream.get_size();
        let format = match wish.role {
            Role::Viewfinder => NV12,
            Role::Raw(raw) => {
                let order = bayer_order(drm(stream.get_pixel_format()));
                raw.format(order.unwrap_or(BayerOrder::Rggb))
                    .map_err(|error| BackendError::Device(error.to_string()))?
            }
        };
        stream.set_pixel_format(PixelFormat::new(format.fourcc, format.modifier));
        stream.set_buffer_count(buffers);
        if let Role::Raw(_) = wish.role {
            let mut sensor = SensorConfiguration::new();
            sensor.set_bit_depth(BIT_DEPTH);
            sensor.set_output_size(size.width, size.height);
            configuration.set_sensor_configuration(sensor);
        }
        Ok(configuration)
    }

    /// Which controls there are in this configuration, and their ranges.
    fn read_controls(&mut self) -> Ranges {
        let mut ranges = Ranges::default();
        self.controls.clear();
        self.full_crop = None;
        for (number, info) in self.camera.controls() {
            let Ok(id) = ControlId::try_from(number) else {
                continue;
            };
            let name = id.name();
            match name.as_str() {
                "ExposureTime" => ranges.exposure_us = range(info),
                "AnalogueGain" => ranges.analogue_gain = range(info),
                "FrameDurationLimits" => ranges.frame_duration_us = range(info),
                "ScalerCrop" => {
                    if let ControlValue::Rectangle(crops) = info.max() {
                        self.full_crop = crops.first().and_then(crop_values);
                    }
                }
                _ => {}
            }
            self.controls.insert(name, number);
        }
        ranges
    }

    /// Writes what makes `controls` take effect into a list.
    pub(super) fn write_controls(&self, controls: &Controls, list: &mut ControlList) {
        let has = |name: &str| self.controls.contains_key(name);
        for (name, value) in choose_controls(controls, self.full_crop, has) {
            if let Some(number) = self.controls.get(name)
                && let Err(error) = list.set_raw(*number, control_value(value))
            {
                tracing::warn!(%error, name, "libcamera does not take the control");
            }
        }
    }
}

/// What failed, in libcamera's errno.
pub(super) fn failed(what: &str, error: &io::Error) -> BackendError {
    BackendError::Device(format!("it cannot be {what}: {error}"))
}

pub(super) fn crop_values(crop: &Rectangle) -> Option<[u32; 4]> {
    let whole = |v: i32| u32::try_from(v).ok();
    Some([whole(crop.x)?, whole(crop.y)?, crop.width, crop.height])
}

fn drm(format: PixelFormat) -> DrmFormat {
    let (fourcc, modifier) = format.to_raw();
    DrmFormat { fourcc, modifier }
}

fn verdict(
    wish: &StreamWish,
    configuration: &CameraConfiguration,
) -> Result<(Layout, Validated), BackendError> {
    let lacking = || BackendError::Device("libcamera took the stream away".into());
    let stream = configuration.get(0).ok_or_else(lacking)?;
    let size = stream.get_size();
    let validated = Validated {
        format: drm(stream.get_pixel_format()),
        width: size.width,
        height: size.height,
        stride_bytes: stream.get_stride(),
        frame_bytes: stream.get_frame_size(),
    };
    layout(wish, &validated)
        .map(|layout| (layout, validated))
        .map_err(|error| BackendError::Device(error.to_string()))
}

fn planes(wish: &StreamWish, validated: &Validated) -> FramePlanes {
    let frame = validated.frame_bytes;
    let planes = match wish.role {
        Role::Raw(_) => vec![(0, frame)],
        Role::Viewfinder => {
            let first = validated
                .stride_bytes
                .saturating_mul(validated.height)
                .min(frame);
            let mut planes = vec![(0, first), (first, frame - first)];
            planes.retain(|(_, length)| *length > 0);
            planes
        }
    };
    FramePlanes { planes }
}

/// Both ends of a range; the first element where the control has several.
fn range<T: Copy>(info: &ControlInfo) -> Option<(T, T)>
where
    Vec<T>: TryFrom<ControlValue>,
{
    let first = |value: ControlValue| Vec::<T>::try_from(value).ok()?.first().copied();
    Some((first(info.min())?, first(info.max())?))
}

fn control_value(value: Value) -> ControlValue {
    match value {
        Value::Bool(on) => on.into(),
        Value::Int32(number) => number.into(),
        Value::Float(number) => number.into(),
        Value::Int64Pair(pair) => pair.into(),
        Value::FloatPair(pair) => pair.into(),
        Value::Rectangle([x, y, width, height]) => Rectangle {
            x: i32::try_from(x).unwrap_or(i32::MAX),
            y: i32::try_from(y).unwrap_or(i32::MAX),
            width,
            height,
        }
        .into(),
    }
}
