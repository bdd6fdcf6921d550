"""Write a checkpoint as ONNX, or as OpenVINO's IR, for runtimes without MXNet.

The file is run at three sizes and held against the network; one that differs is not kept. It
describes itself: classes, colours, normalisation and input rules are in its metadata.
"""

from ..errors import UsageError

HELP = "write a checkpoint as ONNX or for OpenVINO"
EXAMPLES = """examples:
  mxnetseg export best.params -o net.onnx --form classes
  mxnetseg export best.params -o net.onnx --size 512 1024
  mxnetseg export best.params -o net.xml --to openvino"""


def arguments(parser):
    parser.add_argument("checkpoint", metavar="CHECKPOINT", help="a .params file")
    parser.add_argument("--out", "-o", metavar="FILE", required=True, help=".onnx, or .xml")
    parser.add_argument(
        "--form",
        choices=("logits", "scores", "classes"),
        default="logits",
        help="logits: normalised float32 images in, logits out (the default); scores: uint8 pixels "
        "in, probabilities out; classes: uint8 pixels in, label map out",
    )
    parser.add_argument(
        "--size", nargs="+", type=int, metavar="N",
        help="height and width of the only images it shall take; default: any",
    )  # fmt: skip
    parser.add_argument("--opset", type=int, default=17, help="of ONNX, 17 to 21; default: 17")
    parser.add_argument("--to", choices=("onnx", "openvino"), default="onnx", help="the format")


def run(args):
    from ..deploy.export import export

    size = args.size
    if size is not None and (len(size) != 2 or min(size) < 1):
        raise UsageError("--size takes a height and a width, both positive.")
    report = export(args.checkpoint, args.out, args.form, size, args.opset, args.to)
    print("\n".join([*report, f"-> {args.out}"]))
    return 0
