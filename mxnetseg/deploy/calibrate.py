"""A network in ONNX with every operator in 8-bit integers that can be, calibrated on images.

Each function takes the path of the network in float32, the name of its input and an iterator of
normalised images, float32 (1, C, H, W). It gives an ONNX model that has ``QuantizeLinear`` and
``DequantizeLinear`` around its integers. Weights have a scale per output channel and 7 bits: sums
of products of 8 bits overflow on processors without VNNI, and a file may go to one.
"""

import contextlib
import io
import logging

from ..packages import nncf, nncf_parameters, onnx, onnxruntime
from ..packages import quantization as quantization_tools

ANY_NUMBER = 1_000_000  # of images; NNCF would stop at 300


def for_onnxruntime(plain, name, images):
    """By ONNX Runtime's static quantisation.

    Activations have 8 bits without sign, their ranges are the largest that occur.
    """
    tools = quantization_tools()
    whole = plain.with_name("calibrated.onnx")

    class Reader(tools.CalibrationDataReader):
        def get_next(self):
            image = next(images, None)
            return None if image is None else {name: image}

    with _quiet():
        tools.quantize_static(
            str(plain),
            str(whole),
            Reader(),
            quant_format=tools.QuantFormat.QDQ,
            activation_type=tools.QuantType.QUInt8,
            weight_type=tools.QuantType.QInt8,
            per_channel=True,
            reduce_range=True,
        )
    return onnx().load(str(whole))


def for_openvino(plain, name, images):
    """By NNCF, which knows what OpenVINO's operators take as integers.

    Ranges of activations are means over the images of the largest and the smallest value. Biases
    make up for the mean error of their layer's integers. Activations have one range for all
    channels: ONNX Runtime refuses several, which NNCF takes before depthwise convolutions.
    """
    with _quiet():
        tools = nncf()
        model = onnx().load(str(plain))
        for node in model.graph.node:
            node.name = node.output[0]  # NNCF tells them apart by their names
        return tools.quantize(
            model,
            tools.Dataset(images, lambda image: {name: image}),
            preset=tools.QuantizationPreset.MIXED,
            target_device=tools.TargetDevice.CPU,
            subset_size=ANY_NUMBER,
            fast_bias_correction=True,
            ignored_scope=tools.IgnoredScope(names=_joints(model.graph), validate=False),
            advanced_parameters=tools.AdvancedQuantizationParameters(
                overflow_fix=tools.OverflowFix.ENABLE,
                activations_quantization_params=nncf_parameters().QuantizationParameters(
                    per_channel=False
                ),
            ),
        )


PASSING = ("Relu", "Clip", "PRelu", "LeakyRelu", "BatchNormalization", "MaxPool", "Resize")


def _joints(graph):
    """Names of concatenations and of what reads them, up to the next convolution: stay in float.

    OpenVINO (2026.4) is wrong about their integers, on every processor: EPRNet is off by 1.2 of the
    logits' standard deviation in place of 0.2, the network ``streets`` by 0.34 in place of 0.19.
    """
    joined, found = set(), []
    for node in graph.node:
        if node.op_type == "Concat" or joined.intersection(node.input[:1]):
            found.append(node.name)
            if node.op_type in ("Concat", *PASSING):
                joined.update(node.output)
    return found


FOR = {
    "onnxruntime": ("ONNX Runtime", for_onnxruntime),
    "openvino": ("NNCF", for_openvino),
}
"""What calibrates for a runtime: its name, and a function."""


def fold_norms(model, path):
    """Write the model with batch norms folded into convolutions, as ONNX Runtime does it."""
    runtime = onnxruntime()
    options = runtime.SessionOptions()
    options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(path)
    options.log_severity_level = 3
    runtime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


@contextlib.contextmanager
def _quiet():
    """Without ONNX Runtime's advice on preprocessing, which has been done; without NNCF's bars."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        logging.disable(before)
