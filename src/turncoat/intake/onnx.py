"""An ONNX graph as a network of torch, through which gradients flow: audits need them."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

from torch import Tensor, nn

from turncoat.errors import TurncoatError, shown
from turncoat.intake.statefile import first_line

_OPERATORS = (17, 16, 13)
"""Versions of ONNX's operators that are tried where the file's own is not known."""

Sides = tuple[int | None, int | None, int | None]


class ChannelsLast(nn.Module):
    """A network that takes ``(N, H, W, C)``."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        """float ``(N, C, H, W)``."""
        return self.network(x.permute(0, 2, 3, 1))


def open_onnx(path: Path) -> tuple[nn.Module, Sides, int | None]:
    """The network, from ``(N, C, H, W)``; (C, H, W) as the graph says, None where it leaves one open; and N in the same way.

    Raises `TurncoatError` without the ``onnx`` extra, and for a file that is damaged, keeps its weights elsewhere, has several
    inputs or an operator that cannot be converted.
    """
    try:
        import onnx  # noqa: PLC0415 - an extra
        import onnx.shape_inference  # noqa: PLC0415
        import onnx.version_converter  # noqa: PLC0415
        import onnx2torch  # noqa: PLC0415
    except ImportError:
        raise TurncoatError(f'{shown(path)}: ONNX needs the extra: pip install "turncoat[onnx]"') from None
    try:
        model = cast(Any, onnx.load(str(path), load_external_data=False))
    except Exception as error:  # noqa: BLE001 - what protobuf raises is not exported
        raise TurncoatError(f"{shown(path)}: expected a whole ONNX file, got a damaged one ({first_line(error)})") from None
    if any(tensor.external_data for tensor in model.graph.initializer):
        raise TurncoatError(f"{shown(path)}: expected the weights inside the file, got references to others; save it as one file")
    shape, last, batch = _input(model, path)
    if batch is not None:
        _of_any_number(model.graph, batch)
    _without_identities(model.graph)
    model = onnx.shape_inference.infer_shapes(model)
    _as_linear_layers(model.graph)
    network = _converted(model, onnx.version_converter.convert_version, onnx2torch.convert, path)
    return (ChannelsLast(network) if last else network).eval(), shape, batch


def _without_identities(graph: Any) -> None:
    """Exporters name a tensor twice by an operator that does nothing, which onnx2torch does not take on weights."""
    kept = {output.name for output in graph.output}
    same: dict[str, str] = {}
    for node in list(graph.node):
        for place, name in enumerate(node.input):
            node.input[place] = same.get(name, name)
        if node.op_type == "Identity" and node.output[0] not in kept:
            same[node.output[0]] = node.input[0]
            graph.node.remove(node)


def _as_linear_layers(graph: Any) -> None:
    """Products of a batch of vectors with constant weights become what a linear layer is, so that a head is seen as one."""
    vectors = {v.name for v in graph.value_info if len(v.type.tensor_type.shape.dim) == 2}
    weights = {tensor.name for tensor in graph.initializer if len(tensor.dims) == 2}
    for node in graph.node:
        if node.op_type == "MatMul" and node.input[0] in vectors and node.input[1] in weights:
            node.op_type = "Gemm"


def _converted(model: Any, to_version: Any, convert: Any, path: Path) -> nn.Module:
    """The graph as it is, or else in an older set of operators: onnx2torch does not know the newest."""
    failure: Exception | None = None
    for version in (None, *_OPERATORS):
        try:
            return cast(nn.Module, convert(model if version is None else to_version(model, version)))
        except Exception as error:  # noqa: BLE001 - of either package, whatever it be
            failure = failure or error
    why = "" if failure is None else first_line(failure)
    raise TurncoatError(
        f"{shown(path)}: cannot be converted: {why}; export it with opset_version=17, or save its weights as safetensors"
    ) from failure


def _of_any_number(graph: Any, batch: int) -> None:
    """Exported for so many images, a graph reshapes to (batch, -1) where it only meant to flatten each: keep what comes in."""
    import onnx.numpy_helper  # noqa: PLC0415 - an extra

    stored = {tensor.name: tensor for tensor in graph.initializer}
    constants = {node.output[0]: node.attribute[0].t for node in graph.node if node.op_type == "Constant" and node.attribute}
    for node in graph.node:
        tensor = {**constants, **stored}.get(node.input[1]) if node.op_type == "Reshape" else None
        if tensor is None:
            continue
        sides = cast(Any, onnx.numpy_helper.to_array(tensor)).copy()
        if len(sides) > 1 and int(sides[0]) == batch:
            sides[0] = 0
            tensor.CopyFrom(onnx.numpy_helper.from_array(sides, tensor.name))


def _input(model: Any, path: Path) -> tuple[Sides, bool, int | None]:
    """(C, H, W) of the one input, whether channels come last in the graph, and how many images it was exported for."""
    constants = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in constants]
    dims = [int(dim.dim_value) or None for dim in inputs[0].type.tensor_type.shape.dim] if len(inputs) == 1 else []
    if len(dims) != 4:
        got = f"{len(inputs)} inputs" if len(inputs) != 1 else f"one of {len(dims)} dimensions"
        raise TurncoatError(f"{shown(path)}: expected one input (N, C, H, W), got {got}")
    if dims[3] in (1, 3) and dims[1] not in (1, 3):
        return (dims[3], dims[1], dims[2]), True, dims[0]
    if dims[1] not in (1, 3, None):
        raise TurncoatError(f"{shown(path)}: expected images of 1 or 3 channels, got an input of {dims[1]}")
    return (dims[1], dims[2], dims[3]), False, dims[0]
