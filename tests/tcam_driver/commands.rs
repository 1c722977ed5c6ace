//! Commands: their exact text, their answers, and what comes in between.

use std::collections::BTreeMap;
use std::time::Duration;

use outpost::base::health::State;
use outpost::tcam::proto::cci::CciStatus;
use outpost::tcam::proto::command::{SetConfig, SetTime, StreamOn};
use outpost::tcam::proto::wifi::{Ipv4, WifiFlags};
use outpost::tcam::proto::{CciCommand, Command, GainMode, SetWifi, SpotArea};
use outpost::tcam::{Interest, LinkKind, TcamError};

use super::rig::{self, ack, info, run, run_ready, status};
use super::trouble::try_again;

/// Request and answer of every call of the vendor's python driver, as recorded.
fn session() -> BTreeMap<String, (String, Option<String>)> {
    let text = include_str!("../data/tcam/driver_session.json");
    let calls: Vec<serde_json::Value> = serde_json::from_str(text).unwrap();
    let text = |value: &serde_json::Value| value.as_str().map(str::to_owned);
    calls
        .iter()
        .map(|call| {
            let request = text(&call["request_text"]).unwrap();
            (
                text(&call["call"]).unwrap(),
                (request, text(&call["response_text"])),
            )
        })
        .collect()
}

#[test]
fn a_camera_found_is_brought_into_a_known_state() {
    for kind in [LinkKind::Hardware, LinkKind::Network] {
        run(kind, |mut rig| async move {
            assert!(matches!(
                rig.thermal.get_status().await,
                Err(TcamError::Absent(_))
            ));
            // It streams for a host that is no more: nothing of that is read.
            rig.camera.announce("51988").await;
            rig.camera.send(b"\x03junk\x02half a packet").await;
            let seen = rig.camera.set_up().await;
            let time = SetTime {
                sec: 10,
                min: 9,
                hour: 8,
                dow: 6,
                day: 20,
                mon: 11,
                year: 56,
            };
            let config = SetConfig {
                agc_enabled: Some(false),
                emissivity: Some(98),
                gain_mode: Some(GainMode::Auto),
            };
            assert_eq!(
                seen,
                [
                    Command::StreamOff,
                    Command::SetTime(time),
                    Command::SetConfig(config),
                    Command::GetStatus
                ]
            );
            assert!(rig.thermal.wait_connected(Duration::from_secs(1)).await);
            assert_eq!(rig.health.state(), State::Ready);
            assert_eq!(rig.camera.spi.reads(), 0);
            let report = rig.thermal.report();
            assert_eq!(report.camera.as_deref(), Some("tCam-Mini-51A0"));
            assert_eq!((report.link, report.streaming), (kind.word(), false));
        });
    }
}

#[test]
fn every_call_of_the_python_driver_has_its_request_and_its_answer() {
    run_ready(LinkKind::Network, |rig| async move {
        let session = session();
        let rig::Rig {
            thermal,
            mut camera,
            executor,
            ..
        } = rig;
        macro_rules! row {
            ($call:literal, $method:expr) => {{
                let thermal = thermal.clone();
                let called = executor.spawn(async move { $method(thermal).await });
                let (request, answer) = &session[$call];
                assert_eq!(&camera.heard().await, request, $call);
                camera.say(answer.as_deref().unwrap()).await;
                called.await.unwrap()
            }};
        }
        use outpost::tcam::Thermal as T;
        let time = SetTime {
            sec: 0,
            min: 45,
            hour: 9,
            dow: 1,
            day: 7,
            mon: 8,
            year: 52,
        };
        row!("set_time(9, 45, 0, 1, 7, 8, 52)", |t: T| async move {
            t.set_time(time).await
        });
        let found = row!("get_status()", |t: T| async move { t.get_status().await });
        assert_eq!(found.metadata.time, "9:51:04.382");
        let config = row!("get_config()", |t: T| async move { t.get_config().await });
        assert_eq!((config.emissivity, config.gain_mode), (98, GainMode::High));
        let set = |agc_enabled, emissivity, gain_mode| SetConfig {
            agc_enabled,
            emissivity,
            gain_mode,
        };
        let (high, auto) = (GainMode::High, GainMode::Auto);
        row!("set_config()", |t: T| async move {
            t.set_config(set(Some(true), Some(98), Some(auto))).await
        });
        row!("set_config(0, 96, 0)", |t: T| async move {
            t.set_config(set(Some(false), Some(96), Some(high))).await
        });
        row!("set_config_agc(0)", |t: T| async move {
            t.set_config(set(Some(false), None, None)).await
        });
        row!("set_config_emissivity(96)", |t: T| async move {
            t.set_config(set(None, Some(96), None)).await
        });
        row!("set_config_gain_mode(2)", |t: T| async move {
            t.set_config(set(None, None, Some(auto))).await
        });
        row!("set_spotmeter()", |t: T| async move {
            t.set_spotmeter(SpotArea::CENTER).await
        });
        let read = row!("get_lep_cci()", |t: T| async move {
            t.cci_read(CciCommand::SPOT_ROI, 4).await
        });
        assert_eq!(
            (read.status, &*read.words),
            (CciStatus::OK, &[59, 79, 60, 80][..])
        );
        let written = row!("set_lep_cci(0x4ECD, [20, 20, 21, 21])", |t: T| async move {
            t.cci_write(CciCommand(0x4ECD), vec![20, 20, 21, 21]).await
        });
        assert!(written.words.is_empty());
        row!("run_ffc()", |t: T| async move { t.run_ffc().await });
        let wifi = row!("get_wifi()", |t: T| async move { t.get_wifi().await });
        assert_eq!(wifi.ap_ssid, "tCam-Mini-51A0");
        let ap = SetWifi {
            ap_ssid: Some("AP_SSID".into()),
            ap_pw: Some("AP_PASSWORD".into()),
            flags: Some(WifiFlags::ACCESS_POINT),
            ..SetWifi::default()
        };
        row!(
            "set_wifi_ap(\"AP_SSID\", \"AP_PASSWORD\")",
            |t: T| async move { t.set_wifi(ap).await }
        );
        let client = |flags| SetWifi {
            sta_ssid: Some("STA_SSID".into()),
            sta_pw: Some("STA_PASSWORD".into()),
            flags: Some(flags),
            ..SetWifi::default()
        };
        let fixed = |wifi| SetWifi {
            sta_ip_addr: Some(Ipv4([10, 0, 1, 73])),
            sta_netmask: Some(Ipv4([255, 255, 255, 0])),
            ..wifi
        };
        let flags = |flags| SetWifi {
            flags: Some(flags),
            ..SetWifi::default()
        };
        let by_dhcp = client(WifiFlags::STATION);
        row!(
            "set_wifi_sta(\"STA_SSID\", \"STA_PASSWORD\")",
            |t: T| async move { t.set_wifi(by_dhcp).await }
        );
        let fixed_client = fixed(client(WifiFlags::STATION_STATIC));
        row!(
            "set_wifi_sta(\"STA_SSID\", \"STA_PASSWORD\", True, \"10.0.1.73\", \"255.255.255.0\")",
            |t: T| async move { t.set_wifi(fixed_client).await }
        );
        let released = flags(WifiFlags::STATION);
        row!("set_static_ip()", |t: T| async move {
            t.set_wifi(released).await
        });
        let held = fixed(flags(WifiFlags::STATION_STATIC));
        row!(
            "set_static_ip(True, \"10.0.1.73\", \"255.255.255.0\")",
            |t: T| async move { t.set_wifi(held).await }
        );
        row!(
            "set_wifi() with all defaults (deprecated)",
            |t: T| async move { t.set_wifi(deprecated_defaults()).await }
        );
        row!(
            "set_lep_cci(0x4ECD, 8 packed bytes of [59, 79, 60, 80])",
            |t: T| async move { t.cci_write(CciCommand(0x4ECD), vec![59, 79, 60, 80]).await }
        );
        let settings = thermal.settings();
        assert_eq!(settings.config.emissivity, 96);
        assert_eq!(settings.config.gain_mode, GainMode::Auto);
        assert_eq!(settings.spot, Some(SpotArea::CENTER));
    });
}

/// What the deprecated call sends when nothing is given.
fn deprecated_defaults() -> SetWifi {
    SetWifi {
        ap_ssid: Some("ApSSID".into()),
        ap_pw: Some("ApPassword".into()),
        ap_ip_addr: Some(Ipv4([192, 168, 4, 1])),
        flags: Some(WifiFlags::STATION_STATIC),
        sta_ssid: Some("AHomeNetwork".into()),
        sta_pw: Some("anotherpassword".into()),
        sta_ip_addr: Some(Ipv4([192, 168, 0, 2])),
        sta_netmask: Some(Ipv4([255, 255, 255, 0])),
    }
}

/// `get_image`, `start_stream` and `stop_stream`. The pace of a stream is the station's own affair: the camera is
/// asked for every frame, and each subscriber gets what it asked for.
#[test]
fn the_calls_for_images_have_their_requests_and_their_images() {
    for kind in [LinkKind::Hardware, LinkKind::Network] {
        run_ready(kind, |mut rig| async move {
            let session = session();
            let thermal = rig.thermal.clone();
            let single = rig.spawn(async move { thermal.image().await });
            assert_eq!(rig.camera.heard().await, session["get_image()"].0);
            rig.give(&rig::image(1, 1)).await;
            assert_eq!(single.await.unwrap().sequence, 1);
            let paced = Command::parse(
                session["start_stream(delay_msec=500, num_frames=2) / request only"]
                    .0
                    .as_bytes(),
            );
            let Ok(Command::StreamOn(wanted)) = paced else {
                panic!("{paced:?}");
            };
            let mut stream = rig.thermal.subscribe(Interest {
                delay: Duration::from_millis(wanted.delay_msec.into()),
                frames: Some(wanted.num_frames),
            });
            let on = rig.camera.acknowledge("stream_on").await;
            assert_eq!(on, Command::StreamOn(StreamOn::default()));
            for (number, sequence) in [(2, 2), (4, 4)] {
                rig.give(&rig::image(number, number.into())).await;
                assert_eq!(stream.next().await.unwrap().sequence, sequence);
                if number == 2 {
                    // Not due yet.
                    rig.give(&rig::image(3, 3)).await;
                    rig.until(|rig| rig.counter("frames") == 3).await;
                    assert!(stream.try_next().is_none());
                    rig.pass(500);
                }
            }
            assert!(stream.next().await.is_none());
            assert_eq!(rig.camera.heard().await, session["stop_stream()"].0);
            rig.camera
                .say(session["stop_stream()"].1.as_deref().unwrap())
                .await;
            rig.settle().await;
            assert!(!rig.thermal.report().streaming);
        });
    }
}

#[test]
fn commands_of_the_network_never_reach_a_camera_on_uart() {
    run_ready(LinkKind::Hardware, |mut rig| async move {
        let refused = |result: Result<(), TcamError>| {
            assert!(matches!(result, Err(TcamError::HardwareLink(_))));
        };
        refused(rig.thermal.get_wifi().await.map(drop));
        // Every request for the network that the python driver has.
        let mut wifi = 0;
        for (request, _) in session().values() {
            let command = Command::parse(request.as_bytes()).unwrap();
            match command.clone() {
                Command::SetWifi(set) => refused(rig.thermal.set_wifi(set).await),
                Command::GetWifi => {}
                _ => continue,
            }
            refused(rig.thermal.request(command).await.map(drop));
            wifi += 1;
        }
        assert_eq!(wifi, 7);
        for shared in [
            Command::GetImage,
            Command::StreamOff,
            Command::StreamOn(StreamOn::default()),
        ] {
            let answer = rig.thermal.request(shared).await;
            assert!(matches!(answer, Err(TcamError::Shared(_))));
        }
        assert!(rig.thermal.cci_read(CciCommand::PING, 513).await.is_err());
        let negative = SetConfig {
            gain_mode: Some(GainMode::Unknown(-1)),
            ..SetConfig::default()
        };
        let answer = rig.thermal.set_config(negative).await;
        assert!(matches!(answer, Err(TcamError::OutOfRange { .. })));
        let (thermal, run) = (rig.thermal.clone(), rig.executor.clone());
        let ffc = run.spawn(async move { thermal.run_ffc().await });
        // The first thing on the wire since the camera was set up.
        rig.camera.acknowledge("run_ffc").await;
        ffc.await.unwrap();
    });
}

#[test]
fn answers_are_matched_by_type_and_name() {
    run_ready(LinkKind::Hardware, |mut rig| async move {
        let thermal = rig.thermal.clone();
        let warm = SetConfig {
            emissivity: Some(95),
            ..SetConfig::default()
        };
        let asked = rig.spawn(async move { thermal.set_config(warm).await });
        assert_eq!(rig.camera.command().await.name().as_str(), "set_config");
        // Late answers of others, a message nobody asked for, noise, then the answer.
        rig.camera.say(&ack("set_time")).await;
        rig.camera.say(&status("8:09:11.5", "11/20/26")).await;
        rig.camera
            .say("{\"config\":{\"agc_enabled\":1,\"emissivity\":1,\"gain_mode\":1}}")
            .await;
        rig.camera.say(&info(4, "something internal")).await;
        rig.camera
            .say(&info(6, "Firmware update request timed out"))
            .await;
        rig.camera
            .send(b"\x02\xff\xfe\x03 \x02{\"x\":\x03\x02\x03")
            .await;
        rig.camera.say("[1,2]").await;
        rig.camera.say("{\"unheard_of\":{}}").await;
        rig.camera.say(&ack("set_config")).await;
        asked.await.unwrap();
        assert_eq!(rig.counter("unsolicited"), 2);
        assert_eq!(rig.counter("stale_answers"), 4);
        assert_eq!(rig.counter("malformed_packets"), 4);
        assert_eq!(rig.counter("resyncs"), 0);
    });
}

#[test]
fn a_refusal_carries_the_cameras_words() {
    run_ready(LinkKind::Network, |mut rig| async move {
        let thermal = rig.thermal.clone();
        let asked = rig.spawn(async move { thermal.set_spotmeter(SpotArea::CENTER).await });
        rig.camera.command().await;
        rig.camera.say(&info(0, "set_spotmeter failed")).await;
        match asked.await {
            Err(TcamError::Refused { info, .. }) => assert_eq!(info.text, "set_spotmeter failed"),
            other => panic!("{other:?}"),
        }
        // A refused area is not what the camera is to have after its restart.
        assert_eq!(rig.thermal.settings().spot, None);
        // What somebody left in the camera's buffer spoils a command: it is sent again, once.
        let thermal = rig.thermal.clone();
        let asked = rig.spawn(async move { thermal.run_ffc().await });
        rig.camera.command().await;
        rig.camera
            .say(&info(3, "Couldn't convert json string"))
            .await;
        rig.camera.acknowledge("run_ffc").await;
        asked.await.unwrap();
        assert_eq!(rig.counter("refused"), 1);
    });
}

#[test]
fn a_command_times_out_and_its_late_answer_answers_nothing() {
    run_ready(LinkKind::Hardware, |mut rig| async move {
        let thermal = rig.thermal.clone();
        let asked = rig.spawn(async move { thermal.get_config().await });
        assert_eq!(rig.camera.command().await, Command::GetConfig);
        rig.pass(2499);
        rig.camera.say("{\"unheard_of\":{}}").await;
        rig.until(|rig| rig.counter("stale_answers") == 1).await;
        assert!(!asked.is_finished());
        rig.pass(1);
        assert!(matches!(
            asked.await,
            Err(TcamError::Timeout {
                waited_ms: 2500,
                ..
            })
        ));
        // The late answer comes while the link is brought into a known state again.
        assert_eq!(rig.camera.command().await, Command::StreamOff);
        rig.camera
            .say("{\"config\":{\"agc_enabled\":1,\"emissivity\":1,\"gain_mode\":1}}")
            .await;
        rig.camera.say(&ack("stream_off")).await;
        rig.camera.settings().await;
        let thermal = rig.thermal.clone();
        let asked = rig.spawn(async move { thermal.get_config().await });
        assert_eq!(rig.camera.command().await, Command::GetConfig);
        rig.camera
            .say("{\"config\":{\"agc_enabled\":0,\"emissivity\":98,\"gain_mode\":2}}")
            .await;
        assert_eq!(asked.await.unwrap().emissivity, 98);
        assert_eq!((rig.counter("timeouts"), rig.counter("resyncs")), (1, 1));
        assert_eq!(rig.health.state(), State::Ready);
    });
}

#[test]
fn reset_goes_back_to_the_configuration() {
    run_ready(LinkKind::Hardware, |mut rig| async move {
        let thermal = rig.thermal.clone();
        let area = SpotArea::clamped(1, 2, 30, 40);
        let set = rig.spawn(async move {
            let low = SetConfig {
                gain_mode: Some(GainMode::Low),
                ..SetConfig::default()
            };
            thermal.set_config(low).await.unwrap();
            thermal.set_spotmeter(area).await.unwrap();
            thermal.reset().await.unwrap();
        });
        rig.camera.acknowledge("set_config").await;
        let spot = rig.camera.acknowledge("set_spotmeter").await;
        assert_eq!(spot, Command::SetSpotmeter(area));
        rig.camera.acknowledge("set_time").await;
        match rig.camera.acknowledge("set_config").await {
            Command::SetConfig(config) => assert_eq!(config.gain_mode, Some(GainMode::Auto)),
            other => panic!("{other:?}"),
        }
        let spot = rig.camera.acknowledge("set_spotmeter").await;
        assert_eq!(spot, Command::SetSpotmeter(SpotArea::CENTER));
        set.await;
    });
}

#[test]
fn a_station_whose_clock_is_set_sets_the_cameras() {
    run_ready(LinkKind::Hardware, |mut rig| async move {
        rig.hand.step_utc(86_400);
        rig.pass(10_000);
        let look = rig.camera.command().await;
        // The look was due at the same time; what follows it is the time.
        assert_eq!(look, Command::GetStatus);
        rig.camera.say(&status("8:09:20.5", "11/20/26")).await;
        match rig.camera.acknowledge("set_time").await {
            Command::SetTime(time) => assert_eq!((time.day, time.sec), (21, 20)),
            other => panic!("{other:?}"),
        }
        // A client's own time is no business of the station's clock, and stays what it was after a restart.
        let thermal = rig.thermal.clone();
        let east = SetTime {
            sec: 20,
            min: 9,
            hour: 9,
            dow: 7,
            day: 21,
            mon: 11,
            year: 56,
        };
        let set = rig.spawn(async move { thermal.set_time(east).await.unwrap() });
        rig.camera.acknowledge("set_time").await;
        set.await;
        rig.hand.step_utc(1800);
        rig.settle().await;
        rig.replug();
        try_again(&rig).await;
        let seen = rig.camera.set_up().await;
        match &seen[1] {
            Command::SetTime(time) => assert_eq!((time.hour, time.min), (9, 9)),
            other => panic!("{other:?}"),
        }
    });
}
