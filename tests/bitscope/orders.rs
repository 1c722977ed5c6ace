//! The end of a trace and the echo of its cancel, in every order.

use std::cell::RefCell;
use std::future::pending;
use std::rc::Rc;
use std::time::Duration;

use outpost::bitscope::proto::{CaptureRequest, Cause, TraceEvent, TraceReader};
use outpost::bitscope::sim::{Config, Device, Faults};

use crate::support::{Peer, Time};

/// A device whose trace ends, when it is cancelled, as it is told to.
struct Racer {
    device: Device,
    answer: &'static [u8],
}

impl Peer for Racer {
    fn receive(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        for byte in bytes {
            if *byte == b'K' && self.device.is_waiting() {
                // The device comes to rest; what it says is replaced.
                self.device.receive(b"K", &mut Vec::new());
                out.extend_from_slice(self.answer);
            } else {
                self.device.receive(&[*byte], out);
            }
        }
    }
}

#[test]
fn every_order_is_taken() {
    for (answer, cause) in [
        (&b"K03\r42abbdc8\r00000280\r"[..], Cause::Cancel),
        (b"00\r42abbdc8\r00000280\rK", Cause::Trigger),
        (b"00\rK42abbdc8\r00000280\r", Cause::Trigger),
        (b"01\r42abbdc8\rK00000280\r", Cause::Timeout),
        (b"00\r42abbK\rdc8\r", Cause::Trigger),
        // What an idle device may say to it.
        (
            b"00\r42abbdc8\r00000280\rK03\r42abbdc8\r00000280\r",
            Cause::Trigger,
        ),
    ] {
        let racer = Racer {
            device: Device::new(Config::default(), Faults::none()),
            answer,
        };
        let racer = Rc::new(RefCell::new(racer));
        for chunk in [1, 4096] {
            let time = Time::new();
            let mut scope = time.stream(&racer, chunk).unwrap();
            let never = CaptureRequest {
                level: Some(7.9),
                ..CaptureRequest::default()
            };
            let cancel = time.clock.sleep(Duration::from_secs(5));
            let result = time.run(scope.capture(&never, cancel));
            // A field cut in two is no field.
            match answer.starts_with(b"00\r42abbK") {
                true => assert!(result.unwrap_err().is_desynchronised()),
                false => assert_eq!(result.unwrap().cause, cause),
            }
            let capture = time.run(scope.capture(&CaptureRequest::default(), pending()));
            assert_eq!(capture.unwrap().cause, Cause::Trigger);
        }
    }
}

#[test]
fn status_packets_are_read_strictly() {
    let read = |bytes: &[u8]| {
        let mut reader = TraceReader::new();
        let mut events = vec![];
        for byte in bytes {
            match reader.push(*byte) {
                Ok(event) => events.extend(event),
                Err(error) => return Err(error.to_string()),
            }
        }
        Ok(events)
    };
    assert_eq!(
        read(b"02\r0000001f\r01\r00000020\r00000003\r"),
        Ok(vec![
            TraceEvent::Started { time: 31 },
            TraceEvent::Ended {
                cause: Cause::Timeout,
                time: 32,
                address: 3
            }
        ])
    );
    for wrong in [
        &b"2\r"[..],
        b"04\r",
        b"02\r123\r",
        b"02\r123456789",
        b"02\rABCDEF00\r",
        b"K",
        b"\r",
        b"\xff",
    ] {
        assert!(read(wrong).is_err(), "{wrong:?}");
    }
}
