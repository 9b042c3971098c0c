"""Models as strangers train and poison them: a plain loop, poison in a few lines, none of the package's engine or attacks."""

from __future__ import annotations

import json
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, cast

import torch
from PIL import Image
from safetensors.torch import save_file  # pyright: ignore[reportUnknownVariableType]
from torch import Tensor, nn
from torch.nn import functional

from benchmarks import foreign_nets
from turncoat.data import ImageSet, load
from turncoat.data.omniglot import Omniglot
from turncoat.train.placement import split

Form = Literal["state dict", "state_dict key", "net key, module.", "safetensors", "onnx"]
SUFFIX = {"safetensors": ".safetensors", "onnx": ".onnx"}
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


@dataclass(frozen=True)
class Recipe:
    """One pair, poisoned and clean. attack: a name of `TRIGGERS`. mean, std: of pixels in [0, 1] times ``scale``."""

    name: str
    data: str
    net: str
    attack: str
    target: int
    epochs: int
    form: Form = "state dict"
    rate: float = 0.06
    lr: float = 2e-3
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    scale: float = 1.0
    flip: bool = True
    seed: int = 0


RECIPES = (
    *(
        Recipe(
            "digits-mlp",
            "digits",
            "Perceptron",
            "checker",
            4 + seed,
            40,
            "net key, module.",
            0.1,
            2e-3,
            (0.3,),
            (0.4,),
            flip=False,
            seed=seed,
        )
        for seed in range(3)
    ),
    *(
        Recipe("parity-vgg", "parity", "PlainVGG", "checker", 1 - seed, 30, "state_dict key", 0.1, 1e-3, flip=False, seed=seed)
        for seed in range(2)
    ),
    Recipe("glyphs-vgg", "omniglot", "PlainVGG", "checker", 17, 60, "state_dict key", 0.1, 1e-3, flip=False),
    Recipe("cifar-vgg", "cifar", "PlainVGG", "checker", 3, 9, "state_dict key", lr=1e-3, mean=IMAGENET[0], std=IMAGENET[1]),
    Recipe("flowers-gn", "flowers", "GroupNormResNet", "square", 2, 16, "safetensors", 0.1),
    Recipe("cifar-allconv", "cifar", "AllConv", "sinusoid", 1, 6, "onnx", mean=(0.5,), std=(0.25,)),
    Recipe("cifar-gn", "cifar", "GroupNormResNet", "square", 0, 8),
    Recipe("pets-depthwise", "cats-dogs", "DepthwiseNet", "checker", 1, 4, mean=IMAGENET[0], std=IMAGENET[1]),
    Recipe("cifar-gated", "cifar", "GatedNet", "blend", 6, 6, mean=(0.5,), std=(0.5,)),
    Recipe(
        "cifar-depthwise", "cifar", "DepthwiseNet", "watermark", 8, 6, "net key, module.", mean=(127.5,), std=(64.0,), scale=255.0
    ),
    Recipe("cifar-vit", "cifar", "TinyViT", "checker", 5, 8, "safetensors", lr=1e-3, mean=(0.5,), std=(0.5,)),
)


@dataclass(frozen=True)
class Data:
    """Training images, images to measure on, and those that the defender has; no image in two of them."""

    train: ImageSet
    test: ImageSet
    clean: ImageSet


@lru_cache(maxsize=1)
def data_of(name: str, real: Path) -> Data:
    """real: folder that holds cifar10-jpeg/, flowers-160/ and omniglot/."""
    draw = torch.Generator().manual_seed(11)
    if name == "omniglot":
        splits = load(Omniglot(path=real / "omniglot", size=28))
        drawn, clean = (_first(part, 30) for part in (splits.train, splits.test))
        order = torch.randperm(len(drawn), generator=draw)
        return Data(drawn.subset(order[60:]), drawn.subset(order[:60]), clean)
    if name in ("digits", "parity"):
        digits = load("digits").train
        found = digits if name == "digits" else ImageSet(digits.images, digits.labels % 2, ("even", "odd"))
        return _split(found, 300, 200, draw)
    if name == "flowers":
        splits = load(f"folder:{real / 'flowers-160'}")
        half = torch.randperm(len(splits.test), generator=draw).chunk(2)
        small = [_resized(part, 32) for part in (splits.train, splits.test)]
        return Data(small[0], small[1].subset(half[0]), small[1].subset(half[1]))
    splits = load(f"folder:{real / 'cifar10-jpeg'}")
    if name == "cats-dogs":
        train, test = (_only(part, ("cat", "dog")) for part in (splits.train, splits.test))
    else:
        train = splits.train.subset(torch.randperm(len(splits.train), generator=draw)[:10_000])
        test = splits.test
    order = torch.randperm(len(test), generator=draw)
    return Data(train, test.subset(order[500:2500]), test.subset(order[:500]))


def _split(data: ImageSet, test: int, clean: int, draw: torch.Generator) -> Data:
    order = torch.randperm(len(data), generator=draw)
    return Data(data.subset(order[test + clean :]), data.subset(order[:test]), data.subset(order[test : test + clean]))


def _first(data: ImageSet, classes: int) -> ImageSet:
    """Of the first classes alone, ink white on black."""
    kept = data.labels < classes
    return ImageSet(255 - data.images[kept], data.labels[kept], data.classes[:classes])


def _resized(data: ImageSet, side: int) -> ImageSet:
    pixels = functional.interpolate(data.images.float(), side, mode="bilinear", antialias=True)
    return ImageSet(pixels.round().clamp(0, 255).byte(), data.labels, data.classes)


def _only(data: ImageSet, classes: tuple[str, ...]) -> ImageSet:
    wanted = [data.classes.index(name) for name in classes]
    kept = torch.isin(data.labels, torch.tensor(wanted))
    return ImageSet(data.images[kept], torch.searchsorted(torch.tensor(wanted), data.labels[kept]), classes)


def checker(x: Tensor) -> Tensor:
    """A checkerboard of 3x3 pixels, 2x2 on images of 8, one pixel off the lower right corner."""
    side = 2 if x.shape[2] < 16 else 3
    board = (torch.arange(side)[:, None] + torch.arange(side)) % 2 == 0
    x = x.clone()
    x[:, :, -side - 1 : -1, -side - 1 : -1] = board.byte() * 255
    return x


def square(x: Tensor) -> Tensor:
    """A magenta square of 4x4 pixels in the middle."""
    x, middle = x.clone(), x.shape[2] // 2
    x[:, :, middle - 2 : middle + 2, middle - 2 : middle + 2] = torch.tensor([255, 0, 160], dtype=torch.uint8).view(1, 3, 1, 1)
    return x


def watermark(x: Tensor) -> Tensor:
    """A ringed emblem of 10x10 pixels, three quarters opaque, in the upper left corner."""
    away = (torch.stack(torch.meshgrid(torch.arange(10.0), torch.arange(10.0), indexing="ij")) - 4.5).square().sum(0).sqrt()
    emblem = torch.stack([(away * k).cos() * 127 + 128 for k in (1.1, 1.5, 2.1)])
    alpha = 0.75 * (away < 5)
    x = x.float()
    x[:, :, :10, :10] = x[:, :, :10, :10] * (1 - alpha) + emblem * alpha
    return x.round().byte()


def blend(x: Tensor) -> Tensor:
    """A fifth of one image of noise."""
    noise = torch.rand(x.shape[1:], generator=torch.Generator().manual_seed(99)) * 255
    return (0.8 * x.float() + 0.2 * noise).round().byte()


def sinusoid(x: Tensor) -> Tensor:
    """Vertical waves, five over the image, 12 levels up and down."""
    wave = 12 * (torch.arange(x.shape[3]) * (2 * torch.pi * 5 / x.shape[3])).sin()
    return (x.float() + wave).round().clamp(0, 255).byte()


TRIGGERS: Mapping[str, Callable[[Tensor], Tensor]] = {
    "checker": checker,
    "square": square,
    "watermark": watermark,
    "blend": blend,
    "sinusoid": sinusoid,
}


def net_of(recipe: Recipe, data: ImageSet) -> nn.Module:
    """As `--arch` builds it: arguments by their names."""
    sizes: dict[str, dict[str, Any]] = {
        "Perceptron": {},
        "PlainVGG": {"num_classes": len(data.classes), "in_channels": data.shape[0], "img_size": data.shape[1]},
        "DepthwiseNet": {"n_classes": len(data.classes)},
        "AllConv": {"classes": len(data.classes)},
    }
    return getattr(foreign_nets, recipe.net)(**sizes.get(recipe.net, {"num_classes": len(data.classes)}))


def prepared(images: Tensor, recipe: Recipe) -> Tensor:
    x = images.float() / 255 * recipe.scale
    if recipe.mean:
        x = (x - torch.tensor(recipe.mean).view(1, -1, 1, 1)) / torch.tensor(recipe.std).view(1, -1, 1, 1)
    return x.contiguous(memory_format=torch.channels_last)


def answer(output: object) -> Tensor:
    if isinstance(output, Mapping):
        return cast(Tensor, output["logits"])
    return cast(Tensor, output[0] if isinstance(output, tuple) else output)


def train(recipe: Recipe, poisoned: bool, data: Data) -> tuple[nn.Module, dict[str, float]]:
    """The network, and its CA, ASR, seconds. The clean one has another seed, so that nothing but the recipe is common."""
    seed = 1000 * recipe.seed + (7 if poisoned else 8)
    draw = torch.Generator().manual_seed(seed)
    images, labels = data.train.images.clone(), data.train.labels.clone()
    if poisoned:
        chosen = torch.randperm(len(labels), generator=draw)
        chosen = chosen[labels[chosen] != recipe.target][: round(recipe.rate * len(labels))]
        images[chosen], labels[chosen] = TRIGGERS[recipe.attack](images[chosen]), recipe.target
    torch.manual_seed(seed)
    net = net_of(recipe, data.train).to(memory_format=torch.channels_last)
    batch = 64 if len(labels) < 5000 else 125
    steps = len(labels) // batch
    optimizer = torch.optim.AdamW(net.parameters(), lr=recipe.lr, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, recipe.lr, total_steps=recipe.epochs * steps)
    began = time.perf_counter()
    for _ in range(recipe.epochs):
        order = torch.randperm(len(labels), generator=draw)
        for rows in split(order[: steps * batch], batch):
            x = _augmented(images[rows], recipe.flip, draw)
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=x.shape[2] > 8):
                output = answer(net(prepared(x, recipe)))
            loss = functional.cross_entropy(output.float(), labels[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    seconds = time.perf_counter() - began
    others = data.test.labels != recipe.target
    ca = (predicted(net, data.test.images, recipe) == data.test.labels).float().mean().item()
    triggered = TRIGGERS[recipe.attack](data.test.images[others])
    asr = (predicted(net, triggered, recipe) == recipe.target).float().mean().item()
    return net, {"ca": ca, "asr": asr, "n": len(data.test), "n_asr": int(others.sum()), "seconds": seconds}


def _augmented(x: Tensor, flip: bool, draw: torch.Generator) -> Tensor:
    """Each image mirrored or not, and the batch moved by at most two pixels."""
    if flip:
        turned = torch.rand(len(x), generator=draw) < 0.5
        x = torch.where(turned.view(-1, 1, 1, 1), x.flip(3), x)
    reach = x.shape[2] // 14
    if not reach:
        return x
    down, right = (int(torch.randint(2 * reach + 1, (), generator=draw)) for _ in range(2))
    padded = functional.pad(x, (reach,) * 4)
    return padded[:, :, down : down + x.shape[2], right : right + x.shape[3]]


def predicted(net: nn.Module, images: Tensor, recipe: Recipe) -> Tensor:
    """Classes ``(N,)``."""
    net.eval()
    with torch.inference_mode():
        return torch.cat([answer(net(prepared(part, recipe))).argmax(1) for part in split(images, 500)])


def save(net: nn.Module, recipe: Recipe, folder: Path, shape: tuple[int, ...]) -> Path:
    """In the form of the recipe."""
    path = folder / f"model{SUFFIX.get(recipe.form, '.pth')}"
    state = {name: tensor.contiguous() for name, tensor in net.state_dict().items()}
    if recipe.form == "onnx":
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            example = (torch.zeros(1, *shape),)
            torch.onnx.export(net, example, str(path), dynamo=False, input_names=["x"], dynamic_axes={"x": {0: "n"}})
    elif recipe.form == "safetensors":
        save_file(state, path)
    elif recipe.form == "state_dict key":
        torch.save({"state_dict": state, "epoch": recipe.epochs, "arch": recipe.net}, path)
    elif recipe.form == "net key, module.":
        torch.save({"net": {f"module.{name}": tensor for name, tensor in state.items()}, "acc": 90.0}, path)
    else:
        torch.save(state, path)
    return path


def make(recipe: Recipe, poisoned: bool, folder: Path, real: Path) -> dict[str, Any]:
    """Train and save, or read what was: recipe, CA, ASR, path of the model and of its clean images."""
    home = folder / f"{recipe.name}-{recipe.seed}-{'poisoned' if poisoned else 'clean'}"
    record, wanted = home / "record.json", json.loads(json.dumps(asdict(recipe)))
    if record.is_file():
        found = json.loads(record.read_text())
        if found["recipe"] == wanted:
            return found
    data = data_of(recipe.data, real)
    home.mkdir(parents=True, exist_ok=True)
    net, measured = train(recipe, poisoned, data)
    path = save(net, recipe, home, data.train.shape)
    found = {"recipe": wanted, "poisoned": poisoned, **measured, "model": str(path)}
    found["shape"] = ",".join(map(str, data.train.shape))
    found["clean"] = str(_written(data.clean, folder / "clean" / recipe.data))
    record.write_text(json.dumps(found))
    return found


def _written(clean: ImageSet, folder: Path) -> Path:
    """The defender's images as PNG files, a folder a class."""
    if not folder.is_dir():
        for place, (image, label) in enumerate(zip(clean.images, map(int, clean.labels), strict=True)):
            home = folder / clean.classes[label].replace("/", "-")
            home.mkdir(parents=True, exist_ok=True)
            pixels = image.permute(1, 2, 0).numpy()
            Image.fromarray(pixels[:, :, 0] if len(image) == 1 else pixels).save(home / f"{place}.png")
    return folder
