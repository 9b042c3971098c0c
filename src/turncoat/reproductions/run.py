"""`reproduce`: run a reproduction's trials, judge its claims, write both down."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from uuid import uuid4

from pydantic import ValidationError
from pydantic_core import PydanticCustomError

from turncoat.component import lookup
from turncoat.errors import TurncoatError, shown
from turncoat.experiment.listener import Listener
from turncoat.experiment.record import to_json
from turncoat.experiment.study import Announce, StudyResult, run_cells
from turncoat.report import write_report
from turncoat.report.claims import FOLDER
from turncoat.reproductions.base import Reproduction
from turncoat.reproductions.claims import Claim


@dataclass(frozen=True)
class Reproduced(StudyResult):
    """The trials, those that failed, and the claims judged on what is there."""

    claims: tuple[Claim, ...]


def reproduce(
    name: str,
    *,
    fast: bool = False,
    data: str | Path | None = None,
    seeds: int | None = None,
    out: str | Path = "runs/reproduce",
    report: bool = True,
    listener: Listener | None = None,
    announce: Announce | None = None,
) -> Reproduced:
    """Run the reproduction ``name`` into the store ``out``, what it has is read, and judge its claims.

    fast: a small stand-in without data. data: a local copy of the data set. seeds: so many instead of those that the claims
    need. Claims go to ``out/claims/NAME.json`` and, with ``report``, onto the page. Raises `TurncoatError` for a name or
    settings that cannot be.
    """
    chosen = _choose(name, fast, data, seeds)
    store = Path(out)
    result = run_cells(chosen.cells(), out=store, report=False, listener=listener, announce=announce)
    claims = tuple(_with_losses(claim, result) for claim in chosen.judge(result.trials))
    write_claims(store, chosen, claims, result)
    if report and result.trials:
        write_report(store)
    return Reproduced(result.trials, result.failures, claims)


def write_claims(store: Path, of: Reproduction, claims: tuple[Claim, ...], result: StudyResult) -> Path:
    """Write ``store/claims/NAME.json``, whole or not at all, and return its path."""
    document = {
        "schema": 1,
        "name": of.name,
        "summary": of.summary(),
        "fast": of.fast,
        "trials": [trial.record.key for trial in result.trials],
        "claims": [asdict(claim) for claim in claims],
    }
    path = store / FOLDER / f"{of.name}.json"
    partial = path.with_name(f".{path.name}.{uuid4().hex}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(to_json(document), encoding="utf-8")
        partial.replace(path)
    except OSError as error:
        raise TurncoatError(f"{path}: cannot be written: {error.strerror or error}; choose another --out") from None
    finally:
        partial.unlink(missing_ok=True)
    return path


def _choose(name: str, fast: bool, data: str | Path | None, seeds: int | None) -> Reproduction:
    settings = {"fast": fast, "data": None if data is None else Path(data), "seeds": seeds}
    try:
        return lookup(Reproduction, name).model_validate(settings)
    except PydanticCustomError as error:
        raise TurncoatError(f"reproduce: {shown(error.message())}") from None
    except ValidationError as error:
        mistakes = (
            f"reproduce: {''.join(f'{part}: ' for part in found['loc'])}{found['msg'].removeprefix('Value error, ')}"
            for found in error.errors(include_url=False)
        )
        raise TurncoatError("\n".join(shown(mistake) for mistake in mistakes)) from None


def _with_losses(claim: Claim, result: StudyResult) -> Claim:
    """Trials that are missing may have been the bad ones: each claim says so."""
    lost, total = len(result.failures) + len(result.diverged), len(result.failures) + len(result.trials)
    if not lost:
        return claim
    return replace(
        claim, note="; ".join(filter(None, (f"{lost} of {total} trials failed or diverged and are left out", claim.note)))
    )
