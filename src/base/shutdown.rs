//! The signal to stop: dropping the trigger is the signal.

use smol::channel;

/// Holds the station up; drop it (or call [`Trigger::fire`]) to bring everything down.
#[derive(Debug, Clone)]
pub struct Trigger(channel::Sender<()>);

/// Told to every part that runs; cheap to clone.
#[derive(Debug, Clone)]
pub struct Shutdown(channel::Receiver<()>);

/// A linked pair.
pub fn shutdown() -> (Trigger, Shutdown) {
    let (sender, receiver) = channel::bounded(1);
    (Trigger(sender), Shutdown(receiver))
}

impl Trigger {
    /// Gives the signal.
    pub fn fire(&self) {
        self.0.close();
    }
}

impl Shutdown {
    /// Resolves when the signal was given.
    pub async fn wait(&self) {
        let _ = self.0.recv().await;
    }

    /// Whether the signal was given.
    pub fn is_given(&self) -> bool {
        self.0.is_closed()
    }

    /// Runs `work` until it ends (`Some`) or the signal comes (`None`, `work` is dropped).
    pub async fn guard<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        futures_lite::future::or(
            async {
                self.wait().await;
                None
            },
            async { Some(work.await) },
        )
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dropping_the_trigger_ends_guarded_work() {
        let (trigger, shutdown) = shutdown();
        assert!(!shutdown.is_given());
        assert_eq!(smol::block_on(shutdown.guard(async { 7 })), Some(7));
        drop(trigger);
        assert!(shutdown.is_given());
        assert_eq!(
            smol::block_on(shutdown.guard(std::future::pending::<()>())),
            None
        );
    }
}
