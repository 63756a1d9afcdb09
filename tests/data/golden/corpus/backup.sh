#!/bin/sh
# Nightly copy of the photo archive to the other house.
set -eu

SOURCE=/srv/photos
TARGET=attic.example.org:/backup/photos
KEEP_DAYS=30

# A file that shrinks to nothing is more likely a broken disk than a wish.
if [ "$(find "$SOURCE" -name '*.jpg' | wc -l)" -lt 1000 ]; then
    echo "fewer than 1000 pictures: nothing copied" >&2
    exit 1
fi

rsync --archive --delete --backup --backup-dir="../old/$(date +%F)" "$SOURCE/" "$TARGET/"
ssh attic.example.org "find /backup/old -mindepth 1 -maxdepth 1 -mtime +$KEEP_DAYS -exec rm -r {} +"
