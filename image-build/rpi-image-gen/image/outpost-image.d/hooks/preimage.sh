#!/bin/sh
# Called with the file system tree and genimage's input folder, after all other steps on the tree.
set -eu
root=$1
input=$2
build=$IGconf_outpost_source/image-build

# The fixed id is in cmdline.txt and fstab.
sed 's/@ID@/4f757470/g' "$build/fstab" >"$root/etc/fstab"
# What the tool's own steps changed since the layer's hook ran, and the device layer's networks: they would come before ours.
"$build/links" "$root"
rm -f "$root"/etc/systemd/network/0*.network

# What lives on the data partition starts as the system has it.
data=$input/data
rm -rf "$data"
mkdir -p "$data/outpost" "$data/ssh" "$data/setup" "$data/systemd" "$data/home"
cp -a "$root/var/lib/systemd/." "$data/systemd/"
cp -a "$root/home/." "$data/home/"
chown "$(stat --format=%u:%g "$root/var/lib/outpost")" "$data/outpost"
chmod 750 "$data/outpost"
chmod 700 "$data/ssh" "$data/setup"

sed -e "s|<IMAGE_NAME>|$IGconf_image_name|g" -e "s|<IMAGE_SUFFIX>|$IGconf_image_suffix|g" \
    -e "s|<DATA>|$data|g" -e "s|<BOOT>|$build/boot|g" "$LAYER_DIR/genimage.cfg.in" >"$input/genimage.cfg"
