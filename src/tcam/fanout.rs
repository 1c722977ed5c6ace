//! One stream of images to any number of subscribers, each with its own pace, count and queue.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant};

use smol::channel::{self, Receiver, Sender};

use super::image::Image;

/// Images that wait for a subscriber; the oldest makes room.
pub const QUEUE: usize = 8;

/// What a subscriber wants.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Interest {
    /// Between images; zero for every frame. As on the camera the due time advances by exactly this.
    pub delay: Duration,
    /// How many, then the stream ends; `None` for endless. Lost images are not counted.
    pub frames: Option<u32>,
}

/// The images of one subscriber. Dropping it ends the interest.
#[derive(Debug)]
pub struct Subscription {
    images: Receiver<Rc<Image>>,
    dropped: Rc<Cell<u64>>,
    changed: Sender<()>,
}

impl Subscription {
    /// The next image; `None` after the last one asked for, and when the station stops.
    pub async fn next(&mut self) -> Option<Rc<Image>> {
        self.images.recv().await.ok()
    }

    /// An image that waits already.
    pub fn try_next(&mut self) -> Option<Rc<Image>> {
        self.images.try_recv().ok()
    }

    /// Images that wait, at most [`QUEUE`].
    pub fn waiting(&self) -> usize {
        self.images.len()
    }

    /// Images lost because this subscriber was slow.
    pub fn dropped(&self) -> u64 {
        self.dropped.get()
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.images.close();
        let _ = self.changed.try_send(());
    }
}

/// The subscribers.
#[derive(Debug)]
pub(super) struct Fanout {
    list: RefCell<Vec<Subscriber>>,
    changed: Sender<()>,
}

#[derive(Debug)]
struct Subscriber {
    images: Sender<Rc<Image>>,
    dropped: Rc<Cell<u64>>,
    delay: Duration,
    due: Option<Instant>,
    left: Option<u32>,
}

impl Fanout {
    /// Nobody; the receiver tells whenever somebody came or went.
    pub(super) fn new() -> (Self, Receiver<()>) {
        let (changed, change) = channel::bounded(1);
        let list = RefCell::default();
        (Self { list, changed }, change)
    }

    pub(super) fn subscribe(&self, interest: Interest) -> Subscription {
        let (sender, images) = channel::bounded(QUEUE);
        let dropped: Rc<Cell<u64>> = Rc::default();
        if interest.frames != Some(0) {
            self.list.borrow_mut().push(Subscriber {
                images: sender,
                dropped: dropped.clone(),
                delay: interest.delay,
                due: None,
                left: interest.frames,
            });
        }
        let changed = self.changed.clone();
        let _ = changed.try_send(());
        Subscription {
            images,
            dropped,
            changed,
        }
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        let mut list = self.list.borrow_mut();
        list.retain(|subscriber| !subscriber.images.is_closed());
        list.len()
    }

    /// Hands an image to everybody for whom one is due; returns how many others were lost to make room.
    pub(super) fn publish(&self, image: &Rc<Image>, now: Instant) -> u64 {
        let mut lost = 0;
        self.list.borrow_mut().retain_mut(|subscriber| {
            lost += subscriber.offer(image, now);
            subscriber.left != Some(0) && !subscriber.images.is_closed()
        });
        lost
    }

    /// The camera was away: every pace begins anew with its next image. Without this all that became due meanwhile
    /// would be caught up with at full rate.
    pub(super) fn restart(&self) {
        for subscriber in self.list.borrow_mut().iter_mut() {
            subscriber.due = None;
        }
    }

    /// Ends every subscription.
    pub(super) fn close(&self) {
        self.list.borrow_mut().clear();
    }
}

impl Subscriber {
    fn offer(&mut self, image: &Rc<Image>, now: Instant) -> u64 {
        let due = *self.due.get_or_insert(now);
        if now < due {
            return 0;
        }
        self.due = Some(due + self.delay);
        match self.images.force_send(image.clone()) {
            // What was pushed out is not what the subscriber was to get: another one takes its place.
            Ok(Some(_)) => {
                self.dropped.set(self.dropped.get() + 1);
                1
            }
            Ok(None) => {
                self.left = self.left.map(|left| left - 1);
                0
            }
            Err(_) => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tcam::image::ImagePool;

    #[test]
    fn after_an_outage_a_pace_begins_anew() {
        let (fanout, _changed) = Fanout::new();
        let mut slow = fanout.subscribe(Interest {
            delay: Duration::from_secs(1),
            frames: None,
        });
        let image = ImagePool::default().take();
        let start = Instant::now();
        fanout.publish(&image, start);
        assert!(slow.try_next().is_some());
        fanout.restart();
        // Ten minutes away; then every frame comes, and one a second is wanted.
        let back = start + Duration::from_secs(600);
        let mut got = 0;
        for tenth in 0..30 {
            fanout.publish(&image, back + Duration::from_millis(100 * tenth));
            got += u32::from(slow.try_next().is_some());
        }
        assert_eq!(got, 3);
    }
}
