"""Prints what TensorBoard's own reader finds in a folder of event files: scalars, and images after decoding them.

Usage: python read_events.py FOLDER      (needs tensorboard and pillow)

One line per value: `scalar TAG STEP VALUE`, `image TAG STEP HEIGHTxWIDTHxCHANNELS`. Fails where an image does not decode
or has another size than its event says.
"""

import io
import sys

from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator


def lines(folder):
    events = EventAccumulator(folder, size_guidance={"scalars": 0, "images": 0})
    events.Reload()
    for tag in events.Tags()["images"]:
        for event in events.Images(tag):
            picture = Image.open(io.BytesIO(event.encoded_image_string))
            picture.load()
            if picture.size != (event.width, event.height):
                sys.exit(f"image {tag} {event.step}: the file is {picture.size}, the event says "
                         f"{(event.width, event.height)}")
            yield f"image {tag} {event.step} {picture.height}x{picture.width}x{len(picture.getbands())}"
    for tag in sorted(events.Tags()["scalars"]):
        for event in events.Scalars(tag):
            yield f"scalar {tag} {event.step} {event.value}"


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    print("\n".join(lines(sys.argv[1])))
