"""How many portraits an independent face detector finds a face in.

Reads PNG files, each one portrait or a grid of portraits of SIZE x SIZE pixels, enlarges every portrait to about 192 pixels
and runs OpenCV's stock frontal-face Haar cascade on it. Needs: pip install "opencv-python-headless<5" numpy

    python tests/tools/haar.py --size 64 folder-or-grid.png ...

Prints found / looked at; ends with status 1 below --least (default 0.9). With --missed FILE writes a sheet of the misses.
"""

import argparse
import pathlib
import sys

import cv2
import numpy as np


def portraits(paths, size):
    """Every size x size cell of every PNG under the paths."""
    for path in map(pathlib.Path, paths):
        for file in sorted(path.rglob("*.png")) if path.is_dir() else [path]:
            image = cv2.imread(str(file))
            if image is None:
                sys.exit(f"{file}: not an image that OpenCV can read")
            for y in range(0, image.shape[0] - size + 1, size):
                for x in range(0, image.shape[1] - size + 1, size):
                    yield image[y : y + size, x : x + size]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("paths", nargs="+", help="PNG files or folders of them")
    parser.add_argument("--size", type=int, required=True, help="side of one portrait in pixels")
    parser.add_argument("--least", type=float, default=0.9, help="share of faces found that counts as a pass")
    parser.add_argument("--missed", help="PNG to write the portraits without a found face to")
    options = parser.parse_args()

    cascade = cv2.CascadeClassifier(cv2.data.haarcascades + "haarcascade_frontalface_default.xml")
    zoom = max(1, round(192 / options.size))
    looked, missed = 0, []
    for cell in portraits(options.paths, options.size):
        looked += 1
        grey = cv2.cvtColor(cell, cv2.COLOR_BGR2GRAY)
        grey = cv2.resize(grey, None, fx=zoom, fy=zoom, interpolation=cv2.INTER_CUBIC)
        if len(cascade.detectMultiScale(grey, scaleFactor=1.05, minNeighbors=3)) == 0:
            missed.append(cell)
    if looked == 0:
        sys.exit("no portraits of this size found")
    share = 1 - len(missed) / looked
    print(f"faces found in {looked - len(missed)} of {looked} portraits: {share:.3f}")
    if options.missed and missed:
        columns = 10
        missed += [np.zeros_like(missed[0])] * (-len(missed) % columns)
        rows = [np.hstack(missed[i : i + columns]) for i in range(0, len(missed), columns)]
        cv2.imwrite(options.missed, np.vstack(rows))
    sys.exit(0 if share >= options.least else 1)


if __name__ == "__main__":
    main()
