"""What the tests of image and package share: a machine in QEMU (arm64, emulated), SCPI, and the report."""

import os
import re
import shutil
import socket
import struct
import subprocess
import sys
import time

BOOT_LIMIT_S = 600
ROOT_OFFSET = 72 << 20
DISK_BYTES = 3 << 30
BOARD = b"raspberrypi,4-model-b\0brcm,bcm2711\0"
NETWORK = "[Match]\nType=ether\n[Network]\nDHCP=yes\n"


class Failed(Exception):
    pass


def need(program, tools):
    """Ends the program if one of the tools, a dictionary of tool and Debian package, is missing."""
    os.environ["PATH"] += ":/usr/sbin:/sbin"
    missing = [f"{tool} (package {package})" for tool, package in tools.items() if not shutil.which(tool)]
    if missing:
        sys.exit(f"{program}: missing: {', '.join(missing)}")


def built_image(program, folder):
    """The newest image in the folder, without its suffix: kernel and initial RAM file system lie beside it."""
    images = sorted(folder.glob("outpost-*-arm64-qemu.img"))
    if not images:
        sys.exit(f"{program}: no image in {folder}: make one with image-build/build")
    return images[-1].with_suffix("")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Scpi:
    """A connection to a SCPI port."""

    def __init__(self, port, timeout=30):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout)
        self.file = self.socket.makefile("rwb")

    def ask(self, line):
        self.tell(line)
        reply = self.file.readline()
        if not reply.endswith(b"\n"):
            raise OSError(f"no whole reply to {line}: {reply!r}")
        return reply.decode().rstrip("\n")

    def tell(self, line):
        self.file.write(line.encode() + b"\n")
        self.file.flush()

    def block(self, line):
        """A definite-length block."""
        self.tell(line)
        head = self.file.read(2)
        if head[:1] != b"#":
            raise OSError(f"no block: {head!r}")
        length = int(self.file.read(int(head[1:])))
        data = self.file.read(length)
        self.file.readline()
        return data

    def close(self):
        self.file.close()
        self.socket.close()


class Machine:
    """A disk and the machine it is in."""

    def __init__(self, folder, built, memory_mb, disk, root, forwarded, users):
        """`root` is the partition to start from, `forwarded` the guest's ports by name, `users` names of keys to make."""
        self.folder, self.built, self.memory_mb = folder, built, memory_mb
        self.disk, self.root = disk, root
        self.forwarded = forwarded
        self.ports = {name: free_port() for name in forwarded}
        self.qemu = None
        for user in users:
            subprocess.run(
                ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", user, "-f", folder / user], check=True
            )

    def key(self, user):
        return (self.folder / f"{user}.pub").read_text().strip()

    def start(self, *devices):
        forward = "".join(
            f",hostfwd=tcp:127.0.0.1:{self.ports[name]}-:{port}" for name, port in self.forwarded.items()
        )
        log = open(self.folder / "console.log", "ab")
        self.qemu = subprocess.Popen(
            ["qemu-system-aarch64", "-M", "virt", "-cpu", "cortex-a72", "-smp", "2", "-m", str(self.memory_mb)]
            + ["-accel", "tcg,thread=multi", "-nographic", "-nodefaults", "-serial", "stdio", "-no-reboot"]
            + ["-kernel", f"{self.built}.vmlinuz", "-initrd", f"{self.built}.initrd"]
            # An emulated machine that shares its processors is slow; a card is not. A list without the BPF module saves
            # the systemd of the guest a program to load.
            + ["-append", f"console=ttyAMA0 root={self.root} ro quiet fsck.repair=yes systemd.show_status=0 "
                "systemd.default_device_timeout_sec=300 lsm=yama"]
            + ["-drive", f"file={self.disk},format=raw,if=none,id=disk,cache=writeback"]
            + ["-device", "virtio-blk-pci,drive=disk,romfile="]
            + ["-netdev", f"user,id=net,restrict=on{forward}", "-device", "virtio-net-pci,netdev=net,romfile="]
            + ["-device", "virtio-rng-pci", "-device", "i6300esb", *devices],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
        log.close()
        self.started = time.monotonic()

    def cut_power(self):
        if self.qemu:
            self.qemu.kill()
            self.qemu.wait()
            self.qemu = None

    def wait_for_answer(self, limit=BOOT_LIMIT_S, port="scpi"):
        """Seconds until `*IDN?` is answered."""
        begin = time.monotonic()
        while time.monotonic() - begin < limit:
            if self.qemu.poll() is not None:
                raise Failed(f"QEMU ended; the last of its console:\n{self.console()}")
            try:
                scpi = Scpi(self.ports[port], timeout=5)
                identity = scpi.ask("*IDN?")
                scpi.close()
                if identity.startswith("Outpost,"):
                    return time.monotonic() - begin
            except OSError:
                pass
            time.sleep(0.1)
        raise Failed(f"no answer within {limit} s; the last of its console:\n{self.console()}")

    def console(self):
        text = (self.folder / "console.log").read_text(errors="replace")
        return text[-3000:]

    def ssh_options(self, key):
        return ["-F", "none", "-i", str(self.folder / key), "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes"] + [
            *("-o", "StrictHostKeyChecking=accept-new", "-o", f"UserKnownHostsFile={self.folder}/known_hosts"),
            *("-o", "ConnectTimeout=20", "-o", "LogLevel=ERROR"),
        ]

    def ssh(self, user, key, *command, check=True, extra=(), timeout=120):
        run = subprocess.run(
            ["ssh", *self.ssh_options(key), *extra, "-p", str(self.ports["ssh"]), f"{user}@127.0.0.1", *command],
            capture_output=True,
            stdin=subprocess.DEVNULL,
            timeout=timeout,
        )
        if check and run.returncode:
            raise Failed(f"ssh {user} {' '.join(command)}: {run.stderr.decode()}")
        return run

    def wait_for_login(self, user, key):
        begin = time.monotonic()
        while time.monotonic() - begin < BOOT_LIMIT_S:
            if self.ssh(user, key, "true", check=False).returncode == 0:
                return
            time.sleep(0.5)
        raise Failed(f"no SSH login\n{self.console()}")


def padded(text):
    return text + bytes(-len(text) % 4)


def device_tree(folder, memory_mb):
    """QEMU's own device tree, with the name of a Raspberry Pi before that of QEMU's machine."""
    path = folder / "machine.dtb"
    subprocess.run(
        ["qemu-system-aarch64", "-M", f"virt,dumpdtb={path}", "-cpu", "cortex-a72", "-smp", "2"]
        + ["-m", str(memory_mb), "-nodefaults", "-display", "none"],
        check=True,
        capture_output=True,
    )
    tree = path.read_bytes()
    header = list(struct.unpack(">10I", tree[:40]))
    old = b"linux,dummy-virt\0"

    def property_name(at):
        return tree[header[3] + int.from_bytes(tree[at - 4 : at], "big") :].split(b"\0", 1)[0]

    at = next(found.start() for found in re.finditer(old, tree) if property_name(found.start()) == b"compatible")
    new = BOARD + old
    tree = tree[: at - 8] + struct.pack(">I", len(new)) + tree[at - 4 : at] + padded(new) + tree[at + len(padded(old)) :]
    # Place of the strings and size of the structure before them; the room that QEMU leaves behind is no part of it, or
    # the tree would be larger than a kernel takes.
    for field in (3, 9):
        header[field] += len(padded(new)) - len(padded(old))
    header[1] = header[3] + header[8]
    path.write_bytes(struct.pack(">10I", *header) + tree[40 : header[1]])
    return path


class Plain(Machine):
    """A Debian on which nothing of Outpost was ever installed, from the base system of the image, on a writable disk.

    Its device tree says that it is a Raspberry Pi 4, so that programs do there what they do on one.
    """

    def __init__(self, program, folder, image, cache, memory_mb, ports):
        # An archive that is being made has another suffix before that.
        systems = [path for path in cache.glob("system-*.tar") if ".new" not in path.suffixes]
        if not systems:
            sys.exit(f"{program}: no base system in {cache}: image-build/build makes one")
        built = built_image(program, image)
        super().__init__(folder, built, memory_mb, folder / "disk.img", "/dev/vda", {"ssh": 22, **ports}, ("root",))
        self.tree = device_tree(folder, memory_mb)
        self.make_disk(max(systems, key=os.path.getmtime))

    def make_disk(self, system):
        tree = self.folder / "tree"
        tree.mkdir()
        subprocess.run(["tar", "-C", tree, "--xattrs", "--numeric-owner", "-xf", system], check=True)
        # The image leaves documentation out; people do not.
        (tree / "etc/dpkg/dpkg.cfg.d/99mmdebstrap").unlink(missing_ok=True)
        modules = f"rdump /usr/lib/modules {tree}/usr/lib"
        subprocess.run(["debugfs", "-R", modules, f"{self.built}.img?offset={ROOT_OFFSET}"], check=True, capture_output=True)
        for name, text in {
            "etc/fstab": "/dev/vda / ext4 rw 0 1\n",
            "etc/hostname": "plain\n",
            "etc/machine-id": os.urandom(16).hex() + "\n",
            "etc/systemd/network/80-test.network": NETWORK,
            "root/.ssh/authorized_keys": self.key("root") + "\n",
        }.items():
            path = tree / name
            path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
            path.unlink(missing_ok=True)
            path.write_text(text)
        wants = tree / "etc/systemd/system/multi-user.target.wants/systemd-networkd.service"
        if not wants.is_symlink():
            wants.symlink_to("/usr/lib/systemd/system/systemd-networkd.service")
        with open(self.disk, "wb") as disk:
            disk.truncate(DISK_BYTES)
        subprocess.run(["mke2fs", "-q", "-t", "ext4", "-E", "root_owner=0:0", "-d", tree, self.disk], check=True)
        shutil.rmtree(tree)

    def boot(self):
        self.start("-dtb", str(self.tree))
        self.wait_for_login("root", "root")

    def run(self, command):
        """Exit code and all that was said."""
        run = self.ssh("root", "root", f"exec 2>&1; export DEBIAN_FRONTEND=noninteractive; {command}", check=False, timeout=600)
        return run.returncode, run.stdout.decode(errors="replace").strip()

    def said(self, command):
        return self.run(command)[1]

    def upload(self, path):
        target = f"root@127.0.0.1:/root/{path.name}"
        subprocess.run(["scp", "-q", *self.ssh_options("root"), "-P", str(self.ports["ssh"]), path, target], check=True)
        return f"/root/{path.name}"


class Report:
    def __init__(self):
        self.failed = 0
        self.figures = []

    def check(self, what, holds, detail=""):
        print(f"{'ok    ' if holds else 'FAILED'}  {what}{f': {detail}' if detail and not holds else ''}", flush=True)
        self.failed += not holds
        return holds

    def figure(self, what, value):
        self.figures.append((what, value))
        print(f"        {what}: {value}", flush=True)

    def end(self):
        """Prints all figures; the exit code."""
        print("\nfigures")
        for what, value in self.figures:
            print(f"  {what:45}  {value}")
        print(f"\n{'all checks passed' if not self.failed else f'{self.failed} checks failed'}")
        return 1 if self.failed else 0
