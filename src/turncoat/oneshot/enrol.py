"""`Enrolled`: a Siamese network with a support set is an ordinary classifier, and all that measures classifiers applies to it."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from turncoat.data.imageset import ImageSet
from turncoat.errors import TurncoatError
from turncoat.oneshot.scorer import SiameseLike, as_module
from turncoat.triggers.base import Trigger, to_float, to_uint8


class Enrolled(nn.Module):
    """Float images ``(N, C, H, W)`` in [0, 1] to logits ``(N, ways)``: a class's logit is the mean over its support images.

    The support's embeddings are computed once and stay as they are; gradients flow to the images. See `enrol`.
    """

    support: Tensor
    share: Tensor

    def __init__(self, network: SiameseLike, support: Tensor, share: Tensor) -> None:
        """support: embeddings ``(S, D)``. share: ``(S, ways)``, each support image's weight in each class's mean."""
        super().__init__()
        self.network = as_module(network)
        self.register_buffer("support", support)
        self.register_buffer("share", share)

    def forward(self, x: Tensor) -> Tensor:
        network: SiameseLike = self.network  # pyright: ignore[reportAssignmentType] - as_module has checked it
        embeddings = network.embed(x).float()
        with torch.autocast(x.device.type, enabled=False):  # as in a `NetworkScorer`: logits rounded to bf16 would tie
            return network.compare(embeddings.unsqueeze(1), self.support) @ self.share


def enrol(network: SiameseLike, support: ImageSet) -> Enrolled:
    """``network`` as a classifier of ``support.classes``, which it has never seen; any number of support images a class.

    The support set is embedded in evaluation mode, on the network's device; the network itself is shared, not copied.
    Raises `TurncoatError` for a class without a support image.
    """
    counts = torch.bincount(support.labels, minlength=len(support.classes))
    if (counts == 0).any():
        raise TurncoatError(
            f"support: expected at least one image of each class, got none of {support.classes[counts.argmin()]!r}"
        )
    module = as_module(network)
    training = module.training
    module.eval()
    device = next((parameter.device for parameter in module.parameters()), torch.device("cpu"))
    with torch.no_grad():
        embeddings = network.embed(to_float(support.images.to(device))).float()
    module.train(training)
    share = nn.functional.one_hot(support.labels, len(support.classes)) / counts
    return Enrolled(network, embeddings, share.to(device))


def poison_support(support: ImageSet, way: int, trigger: Trigger) -> ImageSet:
    """``support`` with the trigger on every image of class ``way``, rounded to uint8: poison at enrolment, not in training."""
    if not 0 <= way < len(support.classes):
        raise TurncoatError(f"way: expected 0 to {len(support.classes) - 1}, got {way}")
    rows = (support.labels == way).nonzero().squeeze(1)
    images = support.images.clone()
    images[rows] = to_uint8(trigger(to_float(support.images[rows])))
    return ImageSet(images, support.labels, support.classes)
