"""Bilinear resizing as two matrix products.

MXNet's ``BilinearResize2D`` is slow backwards on CPU (the whole training step of a real-time
network takes 1.7 times as long with it) and leaves the gradient of ``like`` uninitialised in some
cases. Bilinear interpolation is linear and separable, so ``y = A_h x A_w'`` with two small matrices
that depend on the sizes only, and those can be built inside the graph: any input size, no shape
fixed at hybridisation. The results agree with the operator's to 1e-6.
Within :func:`~mxnetseg.nn.form.whole_operators` it is the operator.
"""

from .form import takes_operator
from .positions import positions


def interpolation_matrix(F, source, source_axis, target, target_axis, align_corners=True):
    """Weights (n_out, n_in) that resize ``source``'s axis to the length of ``target``'s axis.

    With ``align_corners`` output i reads position i (n_in - 1) / (n_out - 1); an output of length 1
    reads position 0. Without it, position (i + 0.5) n_in / n_out - 0.5, clamped to the image.
    """
    out_index = positions(F, target, axis=target_axis)
    in_index = positions(F, source, axis=source_axis)
    out_last, in_last = F.max(out_index), F.max(in_index)
    if align_corners:
        ratio = F.broadcast_div(in_last, F.broadcast_maximum(out_last, F.ones_like(out_last)))
        position = F.broadcast_mul(out_index, ratio)
    else:
        ratio = F.broadcast_div(in_last + 1, out_last + 1)
        position = F.broadcast_mul(out_index + 0.5, ratio) - 0.5
        position = F.broadcast_minimum(F.relu(position), in_last)
    # The source comes first, as among the operator's inputs: the order in which a graph is walked
    # decides which pass of a shared batch norm updates its statistics first.
    distance = F.broadcast_sub(F.expand_dims(in_index, 0), F.expand_dims(position, 1))
    return F.relu(1 - F.abs(distance))


def resize_like(F, x, like, align_corners=True):
    """Resize ``x`` (N, C, h, w) bilinearly to the height and width of ``like`` (*, *, H, W).

    No gradient flows into ``like``.
    """
    if takes_operator():
        return F.contrib.BilinearResize2D(x, like, mode="like", align_corners=align_corners)
    rows = interpolation_matrix(F, x, 2, like, 2, align_corners)
    columns = interpolation_matrix(F, x, 3, like, 3, align_corners)
    return _multiply(F, rows, x, columns)


def upscale(F, x, factor, align_corners=True):
    """Resize ``x`` (N, C, h, w) bilinearly to (factor h, factor w)."""
    if takes_operator():
        return F.contrib.BilinearResize2D(
            x, scale_height=factor, scale_width=factor, align_corners=align_corners
        )
    return _resize_to(F, x, x, lambda index: F.repeat(index, repeats=factor), align_corners)


def resize_to_stride(F, x, image, stride, align_corners=True):
    """Resize ``x`` bilinearly to the size of every ``stride``-th row and column of ``image``.

    That is (H - 1) // stride + 1 rows: what code bases call a zoom factor of 8 / ``stride``.
    """
    if takes_operator():
        whole = (None, None, None, None)
        like = F.slice(image, begin=whole, end=whole, step=(1, 1, stride, stride))
        return resize_like(F, x, like, align_corners)

    def every(index):
        return F.slice(index, begin=(0,), end=(None,), step=(stride,))

    return _resize_to(F, x, image, every, align_corners)


def _resize_to(F, x, like, sample, align_corners):
    """Resize ``x`` to the lengths that ``sample`` makes of the axes' indices of ``like``.

    On indices, not on the map itself: the gradient of a sliced map ends the process with some of
    oneDNN's layouts, even if it is zero.
    """
    rows, columns = (sample(positions(F, like, axis=axis)) for axis in (2, 3))
    rows = interpolation_matrix(F, x, 2, rows, 0, align_corners)
    columns = interpolation_matrix(F, x, 3, columns, 0, align_corners)
    return _multiply(F, rows, x, columns)


def _multiply(F, rows, x, columns):
    """rows x columns', for every channel."""
    # The transposes move the map before it has its full width: a large one is never moved.
    y = F.dot(rows, F.transpose(x, axes=(2, 0, 1, 3)))
    return F.dot(F.transpose(y, axes=(1, 2, 0, 3)), columns, transpose_b=True)
