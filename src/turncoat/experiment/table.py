"""`results`: every figure of every trial of a store, as one long table."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pandas as pd

from turncoat.errors import TurncoatError
from turncoat.experiment.store import open_store

_ROWS = """
STRUCT(seed BIGINT, stage VARCHAR, method VARCHAR, metric VARCHAR, "group" VARCHAR,
       "value" DOUBLE, low DOUBLE, high DOUBLE, n BIGINT, seconds DOUBLE)[]
"""

_QUERY = """
WITH trials AS (
    SELECT *, unnest("rows") AS r
    FROM read_json($files, format = 'unstructured', maximum_object_size = 67108864, columns = {
        key: 'VARCHAR', status: 'VARCHAR', model: 'VARCHAR', peak_memory_mb: 'DOUBLE', config: 'JSON',
        data: 'STRUCT(name VARCHAR)', attack: 'STRUCT(name VARCHAR, goal VARCHAR)', rows: '$rows'
    })
)
SELECT key, status, data.name AS data, model, attack.name AS attack,
       CAST(config ->> '$.attack.rate' AS DOUBLE) AS rate, attack.goal AS goal,
       r.seed, r.stage, r.method, r.metric, r."group", r."value", r.low, r.high, r.n, r.seconds, peak_memory_mb
FROM trials
WHERE $metric IS NULL OR r.metric = $metric
ORDER BY data, model, attack, goal, rate, key, r.stage DESC, r.method DESC, r.metric, r."group"
""".replace("'$rows'", f"'{' '.join(_ROWS.split())}'")


def results(folder: str | Path, metric: str | None = None) -> pd.DataFrame:
    """One row a figure: key, status, data, model, attack, rate, goal, seed, stage, method, metric, group, value, low, high, n,
    seconds (of the original run) and the trial's peak_memory_mb. ``value`` of ca, asr, ra and leakage is a share in [0, 1].

    metric: only this one. Raises `TurncoatError` for a folder that is no store, naming a trial that cannot be read.
    """
    store = open_store(Path(folder))
    files = [str(path) for path in sorted((store.root / "trials").glob("*/trial.json"))]
    if not files:
        raise TurncoatError(f"{folder}: expected finished trials, found none; run `turncoat run CONFIG.yaml --out {folder}`")
    try:
        with duckdb.connect() as connection:
            return connection.execute(_QUERY, {"files": files, "metric": metric}).df()
    except duckdb.Error as error:
        for _ in store.trials():  # names the file that is at fault
            pass
        raise TurncoatError(f"{folder}: the trials cannot be read together: {' '.join(str(error).split())}") from None
