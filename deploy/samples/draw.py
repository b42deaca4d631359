#!/usr/bin/env python3
"""Draws the sample pictures: all of in/ and at most 8 a kind of out/ (without people), by a seed, never by a verdict.

    draw.py FOLDER SAMPLES     FOLDER has in/, out/ and sources.tsv; SAMPLES gets in/, out/, sources.tsv

Transparent pictures are laid on white, as a browser shows them and as the service would. A picture that is not changed is
copied byte by byte. Needs Pillow."""
import fnmatch, os, random, shutil, sys
from PIL import Image

SEED, MOST = 20261124, 8


def copy(source, target):
    os.makedirs(os.path.dirname(target), exist_ok=True)
    picture = Image.open(source)
    if picture.mode in ("RGBA", "LA", "PA") or "transparency" in picture.info:
        picture = picture.convert("RGBA")
        white = Image.new("RGBA", picture.size, (255, 255, 255, 255))
        Image.alpha_composite(white, picture).convert("RGB").save(target, optimize=True)
        return "laid on white"
    shutil.copyfile(source, target)
    return ""


def main(folder, samples):
    chosen = []
    for side in ("in", "out"):
        for kind in sorted(os.listdir(os.path.join(folder, side))):
            if kind == "people":
                continue
            names = sorted(os.listdir(os.path.join(folder, side, kind)))
            if side == "out" and len(names) > MOST:
                names = sorted(random.Random("%d/%s" % (SEED, kind)).sample(names, MOST))
            chosen += ["%s/%s/%s" % (side, kind, name) for name in names]
    notes = {path: copy(os.path.join(folder, path), os.path.join(samples, path)) for path in chosen}
    lines = open(os.path.join(folder, "sources.tsv"), encoding="utf-8").read().splitlines()
    with open(os.path.join(samples, "sources.tsv"), "w", encoding="utf-8") as out:
        out.write(lines[0] + "\tchanged here\n")
        for line in lines[1:]:
            named = line.split("\t")[0]
            for path in sorted(p for p in notes if fnmatch.fnmatchcase(p, named)):
                out.write("\t".join([path] + line.split("\t")[1:] + [notes.pop(path)]) + "\n")
    if notes:
        sys.exit("no source is named for " + ", ".join(sorted(notes)))


main(*sys.argv[1:])
