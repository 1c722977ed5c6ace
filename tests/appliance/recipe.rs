//! The two images are made from one recipe, and what it says twice it says alike.

use std::fs;
use std::process::Command;

fn read(path: &str) -> String {
    let path = format!("{}/{path}", env!("CARGO_MANIFEST_DIR"));
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

#[test]
fn the_layer_for_the_card_names_the_packages_of_the_list() {
    let list = read("image-build/packages.list");
    let wanted: Vec<&str> = list
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .collect();
    let layer = read("image-build/rpi-image-gen/layer/outpost.yaml");
    let (_, packages) = layer.split_once("  packages:\n").unwrap();
    let named: Vec<&str> = packages
        .lines()
        .take_while(|line| line.starts_with("    "))
        .filter_map(|line| line.strip_prefix("    - "))
        .filter(|name| !name.starts_with("libcamera"))
        .collect();
    assert_eq!(named, wanted);
}

#[test]
fn the_disk_has_one_id_everywhere() {
    let build = read("image-build/build");
    let (_, rest) = build.split_once("readonly DISK_ID=").unwrap();
    let id = rest.lines().next().unwrap();
    assert!(read("image-build/boot/cmdline.txt").contains(&format!("root=PARTUUID={id}-02 ")));
    for part in [
        "image-build/rpi-image-gen/image/genimage.cfg.in",
        "image-build/rpi-image-gen/image/outpost-image.d/hooks/preimage.sh",
    ] {
        assert!(read(part).contains(id), "{part}");
    }
}

/// The firmware reads the command line up to the first line end.
#[test]
fn the_kernel_command_line_is_one_line() {
    let line = read("image-build/boot/cmdline.txt");
    assert_eq!(line.lines().count(), 1);
    for word in [" ro ", "rootwait", "spidev.bufsiz=65536"] {
        assert!(line.contains(word), "{word}");
    }
    assert!(!line.contains("console=serial0"));
}

/// The lines of a board's section of config.txt, with those of all boards.
fn firmware_lines(section: &str) -> Vec<String> {
    let mut here = "all".to_owned();
    let mut lines = Vec::new();
    for line in read("image-build/boot/config.txt").lines() {
        if let Some(name) = line.strip_prefix('[') {
            here = name.trim_end_matches(']').to_owned();
        } else if here == "all" || here == section {
            lines.push(line.to_owned());
        }
    }
    lines
}

#[test]
fn the_firmware_switches_on_what_each_profile_wires() {
    for board in ["pi3b", "zero2w", "pi4b", "cm4", "pi5"] {
        let profile: toml::Table = toml::from_str(&read(&format!("boards/{board}.toml"))).unwrap();
        let section = profile["config_txt"]
            .as_str()
            .unwrap()
            .trim_end_matches(".txt");
        let mut lines = firmware_lines(section);
        // The section of the Pi 4 counts for the compute module as well.
        if section == "cm4" {
            lines.extend(firmware_lines("pi4"));
        }
        let button = "dtoverlay=gpio-shutdown,gpio_pin=27,active_low=1,gpio_pull=up";
        assert_eq!(
            profile["lines"]["shutdown_button"]["gpio"].as_integer(),
            Some(27)
        );
        assert!(lines.iter().any(|each| each == button), "{board}");
        for (kind, bus) in [("uart", "uart0"), ("spi", "spi0")] {
            let buses = profile[kind].as_array().unwrap();
            let bus = buses
                .iter()
                .find(|each| each["name"].as_str() == Some(bus))
                .unwrap();
            for line in bus["config_txt"].as_array().unwrap() {
                let line = line.as_str().unwrap();
                assert!(lines.iter().any(|each| each == line), "{board}: {line}");
            }
        }
    }
}

/// The file that people edit: whatever they take the comment off must be right.
#[test]
fn every_line_of_the_cards_settings_can_be_used() {
    let key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDx0lmZ7i1bnNNlmCAtPRYmRYiOxzJuMY2oXk8k3Zx4d";
    let text: String = read("image-build/boot/outpost.toml")
        .lines()
        .map(|line| match line.strip_prefix('#') {
            Some(used) if !used.starts_with(' ') => format!("{used}\n"),
            _ => format!("{line}\n"),
        })
        .collect();
    let text = text.replace("ssh-ed25519 AAAA...", key);
    let root = tempfile::tempdir().unwrap();
    let card = root.path().join("boot/firmware");
    fs::create_dir_all(&card).unwrap();
    fs::write(card.join("outpost.toml"), &text).unwrap();
    let status = Command::new(env!("CARGO_BIN_EXE_outpost"))
        .args(["setup", "--root"])
        .arg(root.path())
        .status()
        .unwrap();
    assert!(status.success());
    let errors = fs::read_to_string(card.join("outpost-errors.txt")).unwrap_or_default();
    assert_eq!(errors, "", "{text}");
    for name in ["wpa_supplicant.conf", "fe-pycam2", "authorized_keys.pi"] {
        assert!(
            root.path().join("run/outpost-setup").join(name).exists(),
            "{name}"
        );
    }
}

/// What the retrieval user's forced command says to what a client asked for, with the shell's trace of it. This machine has
/// no filter of system calls where the card has it, so nothing is ever started.
fn retrieve(asked: &str) -> String {
    let script = format!(
        "{}/image-build/overlay/usr/lib/outpost/retrieve",
        env!("CARGO_MANIFEST_DIR")
    );
    let run = Command::new("sh")
        .args(["-x", &script])
        .env("SSH_ORIGINAL_COMMAND", asked)
        .output()
        .unwrap();
    assert!(!run.status.success(), "{asked}");
    String::from_utf8(run.stderr).unwrap()
}

#[test]
fn the_retrieval_user_reads_and_deletes() {
    let sftp = "/usr/lib/openssh/sftp-server -p \
        open,close,read,stat,lstat,fstat,opendir,readdir,realpath,remove,statvfs,fstatvfs,limits";
    for (asked, started) in [
        ("internal-sftp", sftp),
        ("/usr/lib/openssh/sftp-server", sftp),
        (
            "rsync --server --sender -logDtpre.iLsfxCIvu . /media/ramdisk/Captures/",
            "rsync --server --sender -logDtpre.iLsfxCIvu . /media/ramdisk/Captures/",
        ),
        (
            "rsync --server --sender -vtre.iLsfxCIvu --remove-source-files . Captures/",
            "rsync --server --sender -vtre.iLsfxCIvu --remove-source-files . Captures/",
        ),
        ("scp -f /media/ramdisk/a.tif", "scp -f /media/ramdisk/a.tif"),
        ("scp -r -p -f -- 'Captures'", "scp -r -p -f -- Captures"),
    ] {
        let said = retrieve(asked);
        let wanted = format!(
            "+ exec setpriv --no-new-privs --seccomp-filter /usr/lib/outpost/no-creating.bpf {started}"
        );
        assert!(said.lines().any(|line| line == wanted), "{asked}: {said}");
    }
}

#[test]
fn the_retrieval_user_does_nothing_else() {
    for (asked, cause) in [
        ("", "a login"),
        ("id", "the command id"),
        ("/bin/sh -c id", "the command /bin/sh"),
        ("rsyncd", "the command rsyncd"),
        ("'rsync --daemon'", "a login"),
        ("rsync --daemon .", "rsync without --server"),
        ("rsync --server --daemon .", "rsync's option --daemon"),
        (
            "rsync --server -logDtpre.iLsfxCIvu . Captures",
            "an upload by rsync",
        ),
        (
            "rsync --server -e.iLsfxCIvu . --sender=no",
            "rsync's option --sender=no",
        ),
        (
            "rsync --server --sender -re.LsfxC --log-file=a . Captures",
            "rsync's option --log-file=a",
        ),
        (
            "rsync --server --sender -re.LsfxC . Captures --log-file=a",
            "rsync's option --log-file=a",
        ),
        (
            "rsync --server --sender -re.LsfxC . Captures '--log-file=a'",
            "rsync's option --log-file=a",
        ),
        (
            "rsync --server --sender -rse.LsfxC",
            "rsync with --secluded-args",
        ),
        ("scp -t Captures", "scp's option -t"),
        ("scp -f -t Captures", "scp's option -t"),
        ("scp -ft Captures", "scp's option -ft"),
        ("scp -S /usr/bin/sh -f a", "scp's option -S"),
        ("scp Captures", "an upload by scp"),
    ] {
        let said = retrieve(asked);
        let wanted = format!("refused: {cause};");
        assert!(
            said.lines().any(|line| line.starts_with(&wanted)),
            "{asked}: {said}"
        );
        assert!(!said.contains("exec"), "{asked}: {said}");
    }
}
