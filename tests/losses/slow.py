"""Losses as their formulas say them, in NumPy and double precision, slowly."""

import numpy as np

from mxnetseg.boundary import edge_map

CLASSES = 5
WEIGHTS = [0.5, 1, 1.5, 2, 0.25]


def log_softmax(z):
    z = z.astype(np.float64) - z.max(1, keepdims=True)
    return z - np.log(np.exp(z).sum(1, keepdims=True))


def pixels(z, y, class_weights=None):
    """Cross entropy and weight (N, H, W) of each pixel, and log softmax (N, C, H, W)."""
    valid = y != 255
    index = np.where(valid, y, 0).astype(int)
    log_p = log_softmax(z)
    loss = -np.take_along_axis(log_p, index[:, None], 1)[:, 0]
    weight = (np.ones(CLASSES) if class_weights is None else np.array(class_weights))[index] * valid
    return loss, weight, log_p


def cross_entropy(z, y, class_weights=None, label_smoothing=0.0):
    loss, weight, log_p = pixels(z, y, class_weights)
    loss = (1 - label_smoothing) * loss - label_smoothing * log_p.mean(1)
    return (loss * weight).sum() / weight.sum()


def focal(z, y, class_weights=None, gamma=2.0):
    loss, weight, _ = pixels(z, y, class_weights)
    return ((1 - np.exp(-loss)) ** gamma * loss * weight).sum() / weight.sum()


def ohem(z, y, class_weights=None, threshold=0.7, min_kept=100000, share=None, label_smoothing=0):
    loss, weight, log_p = pixels(z, y, class_weights)
    valid = y != 255
    least = min_kept if share is None else int(share * valid.sum() + 1e-9)
    hardest = np.sort(loss[valid])[::-1]
    kept = valid & (loss >= -np.log(threshold))
    if kept.sum() < least:
        kept = valid & (loss >= hardest[min(least, len(hardest)) - 1])
    loss = (1 - label_smoothing) * loss - label_smoothing * log_p.mean(1)
    return (loss * weight)[kept].sum() / max(weight[kept].sum(), 1e-12)


def overlap(z, y, class_weights, index):
    """1 - the mean of index(I, P of any exponent, T) over the classes that are present."""
    p, valid = np.exp(log_softmax(z)), y != 255
    values, weights = [], []
    for c in range(CLASSES):
        label = (y == c) & valid
        if label.any():
            inter, total = p[:, c][label].sum(), label.sum()
            values.append(1 - index(inter, lambda e, q=p[:, c][valid]: (q**e).sum(), total))
            weights.append(1 if class_weights is None else class_weights[c])
    return np.average(values, weights=weights)


def dice(z, y, class_weights=None, smooth=1.0, exponent=1, average="macro"):
    if average == "micro":
        p, valid = np.exp(log_softmax(z)), y != 255
        one_hot = (np.arange(CLASSES)[None, :, None, None] == y[:, None]) * 1.0
        p = p * valid[:, None]
        above = 2 * (p * one_hot).sum() + smooth
        return 1 - above / ((p**exponent).sum() + one_hot.sum() + smooth)

    def index(inter, predicted, total):
        return (2 * inter + smooth) / (predicted(exponent) + total + smooth)

    return overlap(z, y, class_weights, index)


def tversky(z, y, class_weights=None, alpha=0.3, beta=0.7, smooth=1.0):
    def index(inter, predicted, total):
        false_positive, false_negative = predicted(1) - inter, total - inter
        return (inter + smooth) / (inter + alpha * false_positive + beta * false_negative + smooth)

    return overlap(z, y, class_weights, index)


def lovasz(z, y, class_weights=None, per_image=False):
    if per_image:
        some = [k for k in range(len(z)) if (y[k] != 255).any()]
        return np.mean([lovasz(z[k : k + 1], y[k : k + 1], class_weights) for k in some])
    p, valid = np.exp(log_softmax(z)), y != 255
    values, weights = [], []
    for c in range(CLASSES):
        label = (y == c)[valid]
        if not label.any():
            continue
        error = np.where(label, 1 - p[:, c][valid], p[:, c][valid])
        order = np.argsort(-error)
        wrong, jaccard, value = np.zeros(len(label), bool), 0.0, 0.0
        for k in order:  # 1 - IoU of a prediction that has the pixels of the largest errors wrong
            wrong[k] = True
            missed, added = (label & wrong).sum(), (~label & wrong).sum()
            after = 1 - (label.sum() - missed) / (label.sum() + added)
            value += error[k] * (after - jaccard)
            jaccard = after
        values.append(value)
        weights.append(1 if class_weights is None else class_weights[c])
    return np.average(values, weights=weights)


def boundary_parts(
    z, aux, b, y, class_weights=None, min_kept=131072, threshold=0.9, ohem=True, edges=None
):
    """The four parts of SANet's and PIDNet's loss."""
    loss, weight, _ = pixels(z, y, class_weights)
    weighted = loss * weight

    def mean(valid):
        if not valid.any():
            return 0.0
        if not ohem:
            return weighted[valid].sum() / weight[valid].sum()
        q = np.sort(np.exp(-loss[valid]))
        keep = valid & (np.exp(-loss) < max(q[min(min_kept, q.size - 1)], threshold))
        return weighted[keep].mean() if keep.any() else 0.0

    aux_loss, aux_weight, _ = pixels(aux, y, class_weights)
    edges = np.stack([edge_map(m, frame=0) for m in y]) if edges is None else edges
    t = edges.astype(np.float64)
    sigma = 1 / (1 + np.exp(-b[:, 0].astype(np.float64)))
    bce = -(t * np.log(sigma) + (1 - t) * np.log(1 - sigma))
    balance = np.where(t == 1, (t == 0).mean(), (t == 1).mean())
    return (
        mean(y != 255),
        (aux_loss * aux_weight).mean() if ohem else cross_entropy(aux, y, class_weights),
        (balance * bce).mean(),
        mean((y != 255) & (sigma > 0.8)),
    )
