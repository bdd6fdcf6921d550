"""The shipped network from Python: an image in, a label map, a class's score and an overlay out.

python demo/segment.py [IMAGE] [CLASS]
"""

import sys

from mxnetseg import checkpoint, shipped  # before MXNet: it makes it work with today's NumPy

# isort: split
import cv2
import mxnet as mx
import numpy as np

image_path = sys.argv[1] if len(sys.argv) > 1 else "demo/street.jpg"
wanted = sys.argv[2] if len(sys.argv) > 2 else "car"

saved = checkpoint.read(shipped.find("streets"))
net = checkpoint.network(saved)  # a Gluon HybridBlock
net.hybridize()
about = saved.description  # its classes, colours and normalisation

image = cv2.imread(image_path)[..., ::-1]  # (H, W, 3), RGB, 0 to 255
if wanted not in about.classes:
    sys.exit(f"There is no class {wanted}, only {', '.join(about.classes)}.")

# Normalise, as (1, 3, H, W). The network takes any size; it was trained for a long side of 720.
scale = saved.meta["protocol"]["base_size"] / max(image.shape[:2])
small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
pixels = (small / 255 - about.mean) / about.std
logits = net(mx.nd.array(pixels.transpose(2, 0, 1)[None]))[0]
scores = mx.nd.softmax(logits, axis=1)[0].asnumpy()  # (classes, h, w)

labels = scores.argmax(0).astype(np.uint8)
labels = cv2.resize(labels, image.shape[1::-1], interpolation=cv2.INTER_NEAREST)
overlay = (0.5 * image + 0.5 * np.asarray(about.palette)[labels]).astype(np.uint8)
cv2.imwrite("overlay.png", overlay[..., ::-1])

k = about.classes.index(wanted)
print(f"{wanted}: {(labels == k).mean():.1%} of the image, highest score {scores[k].max():.2f}")
print("overlay.png written")
