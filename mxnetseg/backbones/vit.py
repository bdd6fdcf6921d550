"""ViT: an image as a sequence of patches, with MXNetSeg's parameter names.

Dosovitskiy et al., An Image is Worth 16x16 Words: Transformers for Image Recognition at Scale,
ICLR 2021, arXiv 2010.11929; as in MXNetSeg: the classifier, whose class token stands at the *end*
of the sequence while its default pooling reads the *first* token, the top-left patch; and the
encoder of SETR, without class token, that taps four of its blocks.

The table of positions belongs to a square image. For others it is interpolated.
"""

from mxnet import nd
from mxnet.gluon import nn

from ..errors import UsageError
from ..nn import Activation, conv2d, map_of_positions, resize_like, sequential
from ..registry import unknown
from .base import Backbone, registry

PRESETS = {
    "vit_base_16": dict(patch_size=16, depth=12, embed_dim=768, hidden_size=3072, heads=12),
    "vit_large_16": dict(patch_size=16, depth=24, embed_dim=1024, hidden_size=4096, heads=16),
    "vit_huge_16": dict(patch_size=16, depth=32, embed_dim=1280, hidden_size=5120, heads=16),
}


def _dense(in_units, units, bias=True):
    return nn.Dense(units, in_units=in_units, use_bias=bias, flatten=False)


def _dropout(rate):
    return nn.Dropout(rate) if rate else None


class Attention(nn.HybridBlock):
    """Multi-head self-attention: (N, tokens, D) -> (N, tokens, D)."""

    def __init__(self, width, heads, qkv_bias=True, drop=0.1, att_drop=0.0):
        super().__init__()
        if width % heads:
            raise UsageError(f"embed_dim {width} must be divisible by the number of heads {heads}.")
        self._heads = heads
        self._head_width = width // heads
        self.att_qkv = _dense(width, 3 * width, qkv_bias)
        self.att_drop = _dropout(att_drop)
        self.proj = _dense(width, width)
        self.proj_drop = _dropout(drop)

    def hybrid_forward(self, F, x):
        qkv = F.reshape(self.att_qkv(x), (0, 0, 3, self._heads, self._head_width))
        qkv = F.reshape(F.transpose(qkv, axes=(2, 0, 3, 1, 4)), (0, -3, 0, 0))
        q, k, v = F.split(qkv, num_outputs=3, axis=0, squeeze_axis=True)  # (N heads, tokens, .)
        weights = F.batch_dot(q * self._head_width**-0.5, k, transpose_b=True)
        weights = F.softmax(weights, axis=-1)
        if self.att_drop is not None:
            weights = self.att_drop(weights)
        x = F.reshape(F.batch_dot(weights, v), (-4, -1, self._heads, 0, 0))
        x = self.proj(F.reshape(F.transpose(x, axes=(0, 2, 1, 3)), (0, 0, -3)))
        return x if self.proj_drop is None else self.proj_drop(x)


class MLP(nn.HybridBlock):
    """D -> hidden -> D for every token by itself."""

    def __init__(self, width, hidden, drop=0.1, activation="gelu"):
        super().__init__()
        self.fc1 = _dense(width, hidden)
        self.act = Activation(activation)
        self.drop1 = _dropout(drop)
        self.fc2 = _dense(hidden, width)
        self.drop2 = _dropout(drop)

    def hybrid_forward(self, F, x):
        x = self.act(self.fc1(x))
        x = self.fc2(x if self.drop1 is None else self.drop1(x))
        return x if self.drop2 is None else self.drop2(x)


class Block(nn.HybridBlock):
    """x + attention(norm(x)), then x + MLP(norm(x))."""

    def __init__(self, width, hidden, heads, qkv_bias, drop, att_drop, activation, epsilon):
        super().__init__()
        self.norm1 = nn.LayerNorm(in_channels=width, epsilon=epsilon)
        self.att = Attention(width, heads, qkv_bias, drop, att_drop)
        self.norm2 = nn.LayerNorm(in_channels=width, epsilon=epsilon)
        self.mlp = MLP(width, hidden, drop, activation)

    def hybrid_forward(self, F, x):
        x = x + self.att(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class PatchEmbedding(nn.HybridBlock):
    """Images (N, 3, H, W) -> (N, D, H / patch_size, W / patch_size), rounded down."""

    def __init__(self, patch_size, width):
        super().__init__()
        self.linear = conv2d(3, width, patch_size, patch_size, padding=0)

    def hybrid_forward(self, F, x):
        return self.linear(x)


def _sequence(F, x):
    """(N, D, h, w) -> (N, h * w, D)."""
    return F.transpose(F.reshape(x, (0, 0, -1)), axes=(0, 2, 1))


def _add_positions(F, x, table, side):
    """x (N, D, h, w) + table (1, side * side, D), resized if h and w are not ``side``."""
    table = F.transpose(F.reshape(table, (0, side, side, -1)), axes=(0, 3, 1, 2))
    return F.broadcast_add(x, resize_like(F, table, x, align_corners=False))


class ViT(Backbone):
    """The encoder: four blocks' outputs, each behind a norm of its own, all at the patches' stride.

    Args:
        patch_size: pixels. depth: number of blocks. embed_dim: channels D of a token.
        hidden_size: channels inside the MLPs. heads: of the attention; they divide embed_dim.
        img_size: side of the square image that the table of positions belongs to, in pixels.
        drop: dropout behind the attention and in the MLPs. layer_norm_eps: of the taps' norms.

    Attributes:
        taps: numbers of the four blocks, counted from 1. A network may choose others.
    """

    def __init__(
        self,
        patch_size,
        depth,
        embed_dim,
        hidden_size,
        heads,
        img_size=480,
        drop=0.1,
        layer_norm_eps=1e-6,
    ):
        super().__init__()
        if img_size < patch_size:
            raise UsageError(f"img_size {img_size} is less than one patch, {patch_size}.")
        self.channels = 4 * (embed_dim,)
        self.strides = 4 * (patch_size,)
        self.rounds_up = False
        self.min_size = patch_size
        self.taps = tuple(max(depth * k // 4, 1) for k in (1, 2, 3, 4))
        self._side = img_size // patch_size
        self.patch_embed = PatchEmbedding(patch_size, embed_dim)
        self.pos_embed = self.params.get(
            "pos_embed", shape=(1, self._side**2, embed_dim), init="zeros"
        )
        self.blocks = _blocks(depth, embed_dim, hidden_size, heads, drop=drop)
        self.layer_norms = sequential(
            *(nn.LayerNorm(in_channels=embed_dim, epsilon=layer_norm_eps) for _ in self.taps)
        )

    def adapted(self, entries):
        """A classifier has a class token, whose position is the last, and no norms at the taps."""
        own = self._collect_params_with_prefix()
        entries = dict(entries)
        if "cls_token" in entries:
            entries["pos_embed"] = self._resized(entries["pos_embed"][:, :-1])
            entries.update((k, p.data()) for k, p in own.items() if k.startswith("layer_norms."))
        return entries

    def _resized(self, table):
        side = round(table.shape[1] ** 0.5)
        grid = nd.zeros((1, 1, self._side, self._side))
        grid = _add_positions(nd, grid, table, side)
        return _sequence(nd, grid)

    def hybrid_forward(self, F, x, pos_embed):
        grid = self.patch_embed(x)
        tokens = _sequence(F, _add_positions(F, grid, pos_embed, self._side))
        found = {}
        for number, block in enumerate(self.blocks, 1):
            tokens = block(tokens)
            found[number] = tokens
        maps = (norm(found[number]) for number, norm in zip(self.taps, self.layer_norms))
        return tuple(map_of_positions(F, m, grid) for m in maps)


def _blocks(
    depth,
    width,
    hidden,
    heads,
    qkv_bias=True,
    drop=0.1,
    att_drop=0.0,
    activation="gelu",
    epsilon=1e-6,
):
    options = width, hidden, heads, qkv_bias, drop, att_drop, activation, epsilon
    return sequential(*(Block(*options) for _ in range(depth)))


class VisionTransformer(nn.HybridBlock):
    """The classifier: images (N, 3, H, W) -> scores (N, classes) before the softmax.

    Args:
        patch_size ... img_size: as in :class:`ViT`.
        embed_drop, att_drop: dropout behind the embedding and on the attention's weights.
        pool: "cls", which reads the first token (not the class token), or "mean" over all.
    """

    def __init__(
        self,
        patch_size,
        depth,
        embed_dim,
        hidden_size,
        heads,
        img_size,
        classes=1000,
        qkv_bias=True,
        embed_drop=0.0,
        att_drop=0.0,
        drop=0.1,
        activation="gelu",
        layer_norm_eps=1e-6,
        pool="cls",
    ):
        super().__init__()
        if pool not in ("cls", "mean"):
            raise unknown("pool of ViT", pool, ("cls", "mean"))
        self._pool = pool
        self._side = img_size // patch_size
        self.patch_embed = PatchEmbedding(patch_size, embed_dim)
        self.cls_token = self.params.get("cls_token", shape=(1, 1, embed_dim), init="zeros")
        self.pos_embed = self.params.get(
            "pos_embed", shape=(1, self._side**2 + 1, embed_dim), init="zeros"
        )
        self.drop = nn.Dropout(embed_drop) if embed_drop else None
        self.blocks = _blocks(
            depth,
            embed_dim,
            hidden_size,
            heads,
            qkv_bias,
            drop,
            att_drop,
            activation,
            layer_norm_eps,
        )
        self.head = sequential(
            nn.LayerNorm(in_channels=embed_dim, epsilon=layer_norm_eps), _dense(embed_dim, classes)
        )

    def hybrid_forward(self, F, x, cls_token, pos_embed):
        grid = self.patch_embed(x)
        table = F.slice_axis(pos_embed, axis=1, begin=0, end=-1)
        x = _sequence(F, _add_positions(F, grid, table, self._side))
        token = cls_token + F.slice_axis(pos_embed, axis=1, begin=-1, end=None)
        x = F.concat(x, F.broadcast_like(token, x, lhs_axes=(0,), rhs_axes=(0,)), dim=1)
        if self.drop is not None:
            x = self.drop(x)
        for block in self.blocks:
            x = block(x)
        if self._pool == "mean":
            return self.head(F.mean(x, axis=1))
        return self.head(F.reshape(F.slice_axis(x, axis=1, begin=0, end=1), (0, -1)))


@registry.register("vit")
def vit(
    patch_size=16,
    depth=12,
    embed_dim=768,
    hidden_size=3072,
    heads=12,
    img_size=480,
    drop=0.1,
    layer_norm_eps=1e-6,
):
    """Any size; by default that of "vit_base_16"."""
    sizes = patch_size, depth, embed_dim, hidden_size, heads
    return ViT(*sizes, img_size, drop, layer_norm_eps)


def _add(name, sizes):
    @registry.register(name)
    def factory(img_size=480, drop=0.1, layer_norm_eps=1e-6):
        return ViT(**sizes, img_size=img_size, drop=drop, layer_norm_eps=layer_norm_eps)


for _name, _sizes in PRESETS.items():
    _add(_name, _sizes)
