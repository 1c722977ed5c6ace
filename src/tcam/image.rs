//! Images as they came, decoded beside it, in buffers that are used again.

use std::rc::Rc;

use jiff::Timestamp;

use super::proto::image::ImageError;
use super::proto::spi::MAX_READ;
use super::proto::temperature::TemperatureError;
use super::proto::{Frame, ImageText, Metadata, Telemetry, Temperatures};

/// Images kept for use again: what the queues of all subscribers hold together, and a few in the making.
const KEPT: usize = 16;

/// One image of the camera.
#[derive(Debug)]
pub struct Image {
    /// `0x02`, the JSON text, `0x03`, exactly as received: what a forwarder sends on.
    pub packet: Vec<u8>,
    /// When it was complete, UTC.
    pub received: Timestamp,
    /// Counts images since the station started, from 1.
    pub sequence: u64,
    /// Pixels (120 rows x 160 columns, row-major) and telemetry words.
    pub frame: Frame,
}

impl Image {
    fn blank() -> Self {
        Self {
            packet: Vec::with_capacity(MAX_READ),
            received: Timestamp::UNIX_EPOCH,
            sequence: 0,
            frame: Frame::blank(),
        }
    }

    /// The JSON text, as a `.tjsn` file holds it.
    pub fn text(&self) -> &[u8] {
        match &*self.packet {
            [_, text @ .., _] => text,
            _ => &[],
        }
    }

    /// Name, model, version and clock of the camera.
    ///
    /// # Errors
    /// None in practice: the image was read once before it was handed out.
    pub fn metadata(&self) -> Result<Metadata<'_>, ImageError> {
        Ok(ImageText::parse(self.text())?.metadata)
    }

    /// The telemetry as a structure.
    pub fn telemetry(&self) -> Telemetry {
        self.frame.telemetry()
    }

    /// The pixels as temperatures, if this frame's telemetry says that they are.
    ///
    /// # Errors
    /// [`TemperatureError::Agc`] or [`TemperatureError::RawCounts`].
    pub fn temperatures(&self) -> Result<Temperatures<'_>, TemperatureError> {
        Temperatures::of(&self.frame.pixels, &self.telemetry())
    }
}

/// Images that nobody looks at any more, to be filled again: a stream allocates nothing after its first second.
#[derive(Debug, Default)]
pub(super) struct ImagePool {
    images: Vec<Rc<Image>>,
}

impl ImagePool {
    /// An image that nobody else holds. Its content is of no meaning.
    pub(super) fn take(&mut self) -> Rc<Image> {
        let unused = |image: &Rc<Image>| Rc::strong_count(image) == 1;
        match self.images.iter().position(unused) {
            Some(index) => self.images.swap_remove(index),
            None => Rc::new(Image::blank()),
        }
    }

    /// Keeps an image for later, whoever holds it now.
    pub(super) fn keep(&mut self, image: Rc<Image>) {
        if self.images.len() < KEPT {
            self.images.push(image);
        }
    }

    /// Gives back the memory of those that nobody holds.
    pub(super) fn release(&mut self) {
        self.images.retain(|image| Rc::strong_count(image) > 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_used_again_when_nobody_holds_it() {
        let mut pool = ImagePool::default();
        let held = pool.take();
        let free = pool.take();
        let (held_at, free_at) = (Rc::as_ptr(&held), Rc::as_ptr(&free));
        pool.keep(held.clone());
        pool.keep(free);
        let again = pool.take();
        assert_eq!(Rc::as_ptr(&again), free_at);
        assert_ne!(Rc::as_ptr(&pool.take()), held_at);
        drop(held);
        assert_eq!(Rc::as_ptr(&pool.take()), held_at);
    }
}
