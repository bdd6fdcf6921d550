"""Training transforms: geometry, padding, alignment of image and mask, randomness."""

import pickle

import cv2
import numpy as np
import pytest
from PIL import Image, ImageEnhance

from mxnetseg import boundary
from mxnetseg.data import IGNORE, augment, crops, presets, randomness
from mxnetseg.data.augment import Augmentation
from mxnetseg.data.crops import Window, crop_resize, place
from mxnetseg.data.randomness import sample_rng
from mxnetseg.errors import UsageError


def picture(height=120, width=200, cells=10):
    """An image whose grey levels tell the class: mask k <-> grey 20 + 20 k."""
    rng = np.random.default_rng(0)
    small = rng.integers(0, 11, (cells, cells)).astype(np.uint8)
    mask = cv2.resize(small, (width, height), interpolation=cv2.INTER_NEAREST)
    return cv2.cvtColor(20 + 20 * mask, cv2.COLOR_GRAY2RGB), mask


def agreement(image, mask):
    """The share of labelled pixels whose grey level belongs to their class."""
    valid = mask != IGNORE
    return (np.abs(image[..., 0].astype(int) - (20 + 20 * mask.astype(int)))[valid] <= 4).mean()


@pytest.mark.parametrize("preset", sorted(presets.PRESETS))
@pytest.mark.parametrize("crop", [64, (48, 96), (300, 310)])
def test_presets(preset, crop):
    base = {"base_size": 200} if preset in ("mxnetseg", "sanet") else {}
    if preset == "pmsdsen":
        base = {"jitter": 0}  # colours tell the class here
    transform = presets.create(preset, crop_size=crop, **base)
    image, mask = picture(cells=4)
    before = image.copy(), mask.copy()
    size = (crop, crop) if isinstance(crop, int) else crop
    seen = set()
    for index in range(60):
        out, out_mask = transform(image, mask, sample_rng(0, 0, index))
        assert out.shape == (*size, 3) and out_mask.shape == size
        assert out.dtype == out_mask.dtype == np.uint8
        assert set(np.unique(out_mask)) <= set(range(11)) | {IGNORE}
        # Padding: mean and ignored, together.
        outside = (out == crops.MEAN_PIXEL).all(-1)
        assert (out_mask[outside] == IGNORE).all()
        assert agreement(out, out_mask) > 0.7  # the rest are blurred edges
        seen.add(out.tobytes())
        assert transform(image, None, sample_rng(0, 0, index))[1] is None
        same = transform(image, mask, sample_rng(0, 0, index))
        assert np.array_equal(same[0], out) and np.array_equal(same[1], out_mask)
    # SANet's has 17 scales and nothing else where the picture is smaller than the crop.
    assert len(seen) > (25 if preset == "sanet" and max(size) > 200 else 55)
    assert np.array_equal(image, before[0]) and np.array_equal(mask, before[1])


def test_crop_first_is_whole_image_resizing_then_cropping():
    rng = np.random.default_rng(1)
    image = cv2.GaussianBlur(rng.integers(0, 256, (120, 200, 3)).astype(np.uint8), (0, 0), 4)
    mask = picture()[1]
    for factor in (0.6, 1.0, 1.7):
        height, width = round(120 * factor), round(200 * factor)
        whole = cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)
        whole_mask = cv2.resize(mask, (width, height), interpolation=cv2.INTER_NEAREST_EXACT)
        window = Window(height, width, -11, -23)
        out, out_mask = crop_resize(image, mask, window, (50, 60), how="bilinear")
        assert np.abs(out.astype(int) - whole[11:61, 23:83]).mean() < 4
        assert (out_mask == whole_mask[11:61, 23:83]).mean() > 0.9
    out, out_mask = crop_resize(image, mask, Window(120, 200, -11, -23), (50, 60))
    assert np.array_equal(out, image[11:61, 23:83])
    assert np.array_equal(out_mask, mask[11:61, 23:83])


def test_shrinking_averages():
    image = np.zeros((400, 400, 3), np.uint8)
    image[::4] = 255  # thin lines: bilinear at 1/4 would see none or all
    out, _ = crop_resize(image, None, Window(100, 100, 0, 0), (100, 100))
    assert abs(out.mean() - 64) < 3 and out.std() < 3


@pytest.mark.parametrize("pad", ["corner", "centre"])
def test_padding_place(pad):
    transform = presets.create(
        base_size=100, scale=(1, 1), crop_size=(100, 160), blur=0, flip=0, pad=pad
    )
    image, mask = picture(60, 100)
    out, out_mask = transform(image, mask, sample_rng(0, 0, 0))
    rows, columns = np.nonzero(out_mask != IGNORE)
    top, left = (0, 0) if pad == "corner" else (20, 30)
    assert (rows.min(), columns.min()) == (top, left)
    assert (rows.max(), columns.max()) == (top + 59, left + 99)
    assert np.array_equal(out[top : top + 60, left : left + 100], image)
    assert (out[~(out_mask != IGNORE)] == crops.MEAN_PIXEL).all()


def test_flip_keeps_padding_at_the_right_and_undoes_itself():
    image, mask = picture(60, 100)
    twice = augment.flip(*augment.flip(image, mask))
    assert np.array_equal(twice[0], image) and np.array_equal(twice[1], mask)
    transform = presets.create(base_size=100, scale=(1, 1), crop_size=120, blur=0, flip=1)
    out, out_mask = transform(image, mask, sample_rng(0, 0, 0))
    assert np.array_equal(out[:60, :100], image[:, ::-1])
    assert np.array_equal(out_mask[:60, :100], mask[:, ::-1])
    assert (out_mask[:, 100:] == IGNORE).all()


def test_scale_draws():
    """The long edge is uniform over int(0.5 base) .. int(2 base), ends included."""
    draw = augment._scale_long_edge
    sizes = [draw(100, 200, (0.5, 2.0), 10, sample_rng(0, 0, i)) for i in range(600)]
    longs = [width for _, width in sizes]
    assert set(longs) == set(range(5, 21))
    assert all(height == int(100 * width / 200 + 0.5) for height, width in sizes)
    assert draw(200, 100, (1, 1), 10, sample_rng(0, 0, 0)) == (10, 5)


def test_positions_cover_everything():
    tops = {place(10, 8, (8, 8), sample_rng(0, 0, i)).top for i in range(60)}
    assert tops == {0, -1, -2}
    assert place(5, 8, (8, 8), sample_rng(0, 0, 0)) == Window(5, 8, 0, 0)


def test_rotation_turns_image_and_mask_alike():
    image, mask = picture(240, 400)
    for degrees in (-10, 0, 7):
        out, out_mask = crops.crop_rotate(
            image, mask, Window(240, 400, -60, -120), (120, 160), degrees
        )
        assert agreement(out, out_mask) > 0.9
        assert (out_mask != IGNORE).all()
    assert np.array_equal(
        crops.crop_rotate(image, mask, Window(240, 400, 0, 0), (240, 400), 0)[1], mask
    )
    _, turned = crops.crop_rotate(image, mask, Window(240, 400, 0, 0), (300, 400), 10)
    assert (turned[240:] == IGNORE).all() and (turned[:5, :5] == IGNORE).all()


def test_extreme_sizes():
    transform = presets.create(base_size=4, crop_size=(7, 5), scale=(0.1, 3))
    for shape in ((1, 1), (1, 500), (500, 1), (3, 3)):
        image, mask = np.zeros((*shape, 3), np.uint8), np.zeros(shape, np.uint8)
        for index in range(30):
            out, out_mask = transform(image, mask, sample_rng(0, 0, index))
            assert out.shape == (7, 5, 3) and out_mask.shape == (7, 5)


def test_jitter_changes_colours_only():
    image, mask = picture()
    transform = presets.create(base_size=200, crop_size=100, jitter=0.5)
    plain = presets.create(base_size=200, crop_size=100)
    out, out_mask = transform(image, mask, sample_rng(0, 0, 0))
    assert not np.array_equal(out, plain(image, mask, sample_rng(0, 0, 0))[0])
    assert (out[out_mask == IGNORE] == crops.MEAN_PIXEL).all()
    same = augment.jitter(image, 1.0, 1.0, 1.0, grey=90.0)
    assert np.abs(same.astype(int) - image).max() <= 1
    noise = np.random.default_rng(0).integers(0, 255, (9, 9, 3), np.uint8)
    assert np.ptp(augment.jitter(noise, 1, 1, 0, grey=128.0), axis=-1).max() <= 1


@pytest.mark.parametrize("factors", [(1.3, 0.6, 1.4), (0.7, 1.5, 0.5)])
def test_jitter_is_that_of_pil_whatever_part_is_seen(factors):
    """PMSDSEN's: one after the other on the whole image, each rounded to 8 bits."""
    image, _ = picture()
    expected = Image.fromarray(image)
    for enhancer, factor in zip(("Brightness", "Contrast", "Color"), factors):
        expected = getattr(ImageEnhance, enhancer)(expected).enhance(factor)
    part = (slice(20, 70), slice(30, 90))
    found = augment.jitter(image[part].copy(), *factors, augment.grey_level(image))
    assert np.abs(found.astype(int) - np.asarray(expected)[part]).max() <= 3
    of_part = augment.jitter(image[part].copy(), *factors, augment.grey_level(image[part].copy()))
    assert np.abs(of_part.astype(int) - np.asarray(expected)[part]).max() > 5


def test_generator_is_a_pure_function():
    draws = {
        tuple(sample_rng(*key).integers(0, 1 << 30, 4))
        for key in [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1), (1 << 40, 0, 0), (1, 1, 0)]
    }
    draws.add(tuple(randomness.order_rng(0, 0).integers(0, 1 << 30, 4)))
    assert len(draws) == 7
    assert sample_rng(3, 4, 5).random() == sample_rng(3, 4, 5).random()
    with pytest.raises(UsageError, match="must not be negative"):
        sample_rng(-1, 0, 0)


@pytest.mark.parametrize(
    "preset, options, message",
    [
        ("mxnetsec", {}, "Did you mean mxnetseg"),
        ("mxnetseg", {"cropsize": 3}, "Did you mean crop_size"),
        ("mxnetseg", {"crop_size": 0}, "must be positive"),
        ("mxnetseg", {"crop_size": "big"}, "number or"),
        ("mxnetseg", {"scale": (2, 1)}, "in order"),
        ("mxnetseg", {"flip": 2}, "0..1"),
        ("mxnetseg", {"jitter": -1}, "0..1"),
        ("mxnetseg", {"pad": "left"}, "Unknown value of 'pad'"),
        ("sanet", {"resize": "linear"}, "Did you mean bilinear"),
        ("sanet", {"balanced": 2}, "0..1"),
    ],
)
def test_wrong_options(preset, options, message):
    with pytest.raises(UsageError, match=message):
        presets.create(preset, **options)


def test_can_be_pickled():
    transform = presets.create(crop_size=32)
    assert isinstance(transform, Augmentation)
    assert pickle.loads(pickle.dumps(transform)) == transform


def test_sanet_draws_scales_in_steps():
    draw = augment._scale_steps
    sizes = {draw(100, 200, (0.5, 2.1), 20, sample_rng(0, 0, i)) for i in range(400)}
    longs = sorted(width for _, width in sizes)
    assert longs == [int(20 * (0.5 + k / 10) + 0.5) for k in range(17)]
    assert draw(200, 100, (1, 1), 10, sample_rng(0, 0, 0)) == (10, 5)


def test_pmsdsen_draws_scales_by_crop_width():
    transform = presets.create("pmsdsen", crop_size=(256, 512))
    assert transform.scale == (0.25, 0.5) and transform.resize == "lanczos"
    assert presets.create("pmsdsen", crop_size=33).scale == (0.75, 2.0)
    assert presets.create("pmsdsen", crop_size=33, scale=(1, 2)).scale == (1, 2)
    draws = [transform.shrink(1024, 2048, sample_rng(0, 0, i)) for i in range(400)]
    assert min(draws) >= 2 and max(draws) <= 4.01
    assert np.median(draws) == pytest.approx(2 * 2**0.5, rel=0.03)  # uniform in the logarithm


def test_presets_for_data_sets():
    assert presets.create("sanet", "camvid").crop_size == (720, 960)
    assert presets.create("pmsdsen", "camvid32").jitter == 0
    assert presets.create("semseg", "cityscapes").crop_size == (713, 713)
    assert presets.create("mxnetseg", "anything") == presets.create("mxnetseg")
    sizes = presets.default_sizes
    assert sizes("sanet", "cityscapes", 1024, 2048) == (2048, (1024, 1024))
    assert sizes("pmsdsen", "cityscapes", 1024, 2048) == (None, (512, 1024))
    assert sizes("semseg", "pascal_voc", 375, 500) == (None, (473, 473))
    # CamVid comes in two sizes; only one is that of the publications.
    assert sizes("sanet", "camvid", 720, 960) == (960, (720, 960))
    assert sizes("sanet", "camvid", 360, 480) == (480, (360, 360))
    assert sizes("mxnetseg", "own", 3000, 4000) == (4000, (480, 480))


def test_lanczos_is_that_of_the_whole_image():
    rng = np.random.default_rng(1)
    image = rng.integers(0, 256, (120, 200, 3)).astype(np.uint8)
    for factor in (0.5, 2):
        size = (int(200 * factor), int(120 * factor))
        whole = np.array(Image.fromarray(image).resize(size, Image.LANCZOS))
        window = Window(size[1], size[0], -12, -22)
        out, _ = crop_resize(image, None, window, (30, 40), how="lanczos")
        assert np.abs(out.astype(int) - whole[12:42, 22:62]).max() <= 1


def test_image_decoded_at_a_fraction_stays_with_its_mask():
    image, mask = picture(240, 400)
    half = cv2.resize(image, (200, 120), interpolation=cv2.INTER_AREA)
    transform = presets.create("semseg", crop_size=(70, 90), scale=(0.3, 0.5), blur=0)
    for index in range(20):
        rng = sample_rng(0, 0, index)
        out, out_mask = transform(half, mask, sample_rng(0, 0, index))
        same, same_mask = transform(image, mask, rng)
        assert agreement(out, out_mask) > 0.85
        both = (out_mask != IGNORE) & (same_mask != IGNORE)
        assert (out_mask == same_mask)[both].mean() > 0.9


def test_edge_map():
    mask = np.zeros((40, 60), np.uint8)
    mask[:, 30:] = 1
    edges = boundary.edge_map(mask)
    assert edges.dtype == np.uint8 and set(np.unique(edges)) == {0, 1}
    columns = np.flatnonzero(edges[20])
    assert len(columns) == 4 and columns.min() >= 28 and columns.max() <= 32
    assert not edges[:5].any() and not edges[-4:].any()
    assert boundary.edge_map(mask, frame=0)[0].any()
    point = np.zeros((40, 60), np.uint8)
    point[10:30, 10:30] = IGNORE
    assert boundary.edge_map(point).any() and not boundary.edge_map(0 * point).any()


def test_a_mirror_image_exchanges_sides():
    mask = np.array([[0, 1, 2, IGNORE]], np.uint8)
    mirror = [1, 0, *range(2, 256)]
    assert augment.swap_sides(mask, mirror).tolist() == [[1, 0, 2, IGNORE]]
    image = np.zeros((1, 4, 3), np.uint8)
    kwargs = dict(base_size=4, scale=(1, 1), crop_size=(1, 4), blur=0, mirror=mirror)
    flipped = presets.create(flip=1, **kwargs)(image, mask, sample_rng(0, 0, 0))[1]
    assert flipped.tolist() == [[IGNORE, 2, 0, 1]]
    same = presets.create(flip=0, **kwargs)(image, mask, sample_rng(0, 0, 0))[1]
    assert np.array_equal(same, mask)


def test_balanced_crops_show_rare_classes():
    mask = np.zeros((200, 300), np.uint8)
    mask[150:154, 260:264] = 1
    image = np.zeros((200, 300, 3), np.uint8)
    shown = {}
    for balanced in (0, 1):
        transform = presets.create(
            base_size=300, scale=(1, 2), crop_size=40, balanced=balanced, rotate=0
        )
        masks = [transform(image, mask, sample_rng(0, 0, i))[1] for i in range(100)]
        shown[balanced] = sum((crop == 1).any() for crop in masks)
    assert shown[0] < 20 and 35 < shown[1] < 75
    # Every class is shown where it was drawn, also beside ignored pixels; no class: anywhere.
    assert crops.pixel_of_a_class(np.full((3, 3), IGNORE, np.uint8), sample_rng(0, 0, 0)) is None
    mask[:] = IGNORE
    mask[7, 9] = 4
    assert crops.pixel_of_a_class(mask, sample_rng(0, 0, 0)) == (7.5 / 200, 9.5 / 300)
    transform = presets.create(base_size=300, scale=(2, 2), crop_size=20, balanced=1)
    assert all((transform(image, mask, sample_rng(0, 0, i))[1] == 4).any() for i in range(50))


@pytest.mark.parametrize("channels, dtype", [(1, np.uint8), (4, np.uint8), (7, np.float32)])
@pytest.mark.parametrize("preset", sorted(presets.PRESETS))
def test_other_channels(preset, channels, dtype):
    rgb, mask = picture(60, 80, cells=4)
    image = np.repeat(rgb[..., :1], channels, axis=2).astype(dtype)
    options = {"base_size": 80} if preset in ("mxnetseg", "sanet") else {}
    if preset == "pmsdsen":
        options["jitter"] = 0  # the grey levels of a picture without colours
    fill = tuple(range(1, channels + 1))
    transform = presets.create(preset, crop_size=(70, 50), fill=fill, **options)
    usual = presets.create(preset, crop_size=(70, 50), fill=(1, 1, 1), **options)
    for index in range(20):
        out, out_mask = transform(image, mask, sample_rng(0, 0, index))
        same, same_mask = usual(rgb, mask, sample_rng(0, 0, index))
        assert out.shape == (70, 50, channels) and out.dtype == dtype
        assert np.array_equal(out_mask, same_mask)
        levels = np.clip(out[..., 0].astype(float), 0, 255)  # Lanczos overshoots
        assert np.abs(levels - same[..., 0]).max() <= 3
    jittered = presets.create(jitter=0.5, base_size=80, crop_size=40, fill=fill)
    assert jittered(image, mask, sample_rng(0, 0, 1))[0].shape == (40, 40, channels)
    with pytest.raises(UsageError, match=f"3 numbers for images of {channels}"):
        presets.create(crop_size=40)(image, mask, sample_rng(0, 0, 0))


@pytest.mark.parametrize("preset", ["mxnetseg", "semseg"])
def test_padding_may_be_a_class(preset):
    """MXNetSeg pads with the raw label 0, which is a class on some data sets."""
    image, mask = picture(40, 60, cells=4)
    mask[:] = 3
    transform = presets.create(preset, base_size=40, crop_size=90, fill=(0, 0, 0), fill_label=7)
    usual = presets.create(preset, base_size=40, crop_size=90, fill=(0, 0, 0))
    for index in range(10):
        _, found = transform(image, mask, sample_rng(0, 0, index))
        _, ignored = usual(image, mask, sample_rng(0, 0, index))
        assert (found == 7).any() and np.array_equal(found == 7, ignored == IGNORE)
    for wrong in (-1, 256, 1.5):
        with pytest.raises(UsageError, match="fill_label"):
            presets.create(fill_label=wrong)
