"""Write a checkpoint as ONNX, or as OpenVINO's IR, for runtimes without MXNet.

The file is run at three sizes and held against the network; one that differs is not kept. It
describes itself: classes, colours, normalisation and input rules are in its metadata.

With `--to torchvision` or `timm` the backbone alone is written, under the names of that library.
"""

from ..errors import UsageError

LIBRARIES = ("torchvision", "timm")

HELP = "write a checkpoint as ONNX or for OpenVINO, or its backbone for torchvision or timm"
EXAMPLES = """examples:
  mxnetseg export best.params -o net.onnx --form classes
  mxnetseg export best.params -o net.onnx --size 512 1024
  mxnetseg export best.params -o net.xml --to openvino
  mxnetseg export best.params -o resnet18.safetensors --to torchvision"""


def arguments(parser):
    parser.add_argument("checkpoint", metavar="CHECKPOINT", help="a .params file")
    parser.add_argument(
        "--out", "-o", metavar="FILE", required=True,
        help=".onnx, or .xml; for torchvision and timm .safetensors, .npz, .pth or .pt",
    )  # fmt: skip
    parser.add_argument(
        "--form",
        choices=("logits", "scores", "classes"),
        help="logits: normalised float32 images in, logits out (the default); scores: uint8 pixels "
        "in, probabilities out; classes: uint8 pixels in, label map out",
    )
    parser.add_argument(
        "--size", nargs="+", type=int, metavar="N",
        help="height and width of the only images it shall take; default: any",
    )  # fmt: skip
    parser.add_argument("--opset", type=int, help="of ONNX, 17 to 21; default: 17")
    parser.add_argument(
        "--to", choices=("onnx", "openvino", *LIBRARIES), default="onnx",
        help="the format; torchvision, timm: the backbone alone, in that library's names",
    )  # fmt: skip


def run(args):
    if args.to in LIBRARIES:
        report = _backbone(args)
    else:
        from ..deploy.export import export

        size = args.size
        if size is not None and (len(size) != 2 or min(size) < 1):
            raise UsageError("--size takes a height and a width, both positive.")
        form, opset = args.form or "logits", 17 if args.opset is None else args.opset
        report = export(args.checkpoint, args.out, form, size, opset, args.to)
    print("\n".join([*report, f"-> {args.out}"]))
    return 0


def _backbone(args):
    from ..convert.command import export_file

    for option in ("form", "size", "opset"):
        if getattr(args, option) is not None:
            raise UsageError(f"--{option} has no meaning for --to {args.to}, which runs nowhere.")
    return export_file(args.to, args.checkpoint, args.out)
