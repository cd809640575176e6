from io import BytesIO

import numpy as np
from PIL import Image

from eval.conf import EvaluateConfig
from eval.evaluate import evaluate
from eval.report import Report
from eval.tables import report_tables


def rows(table):
    return [dict(zip(table.columns, row, strict=True)) for row in table.rows]


def test_a_case_has_its_pictures_prompt_and_seed(tmp_path, drawn_run):
    sets = {name: drawn_run(tmp_path / name) for name in ("base", "run")}
    report = evaluate(EvaluateConfig(**sets, num_cases=1), device="cpu")
    told = rows(report_tables(report, pictures=sets)["cases"])
    assert len(told) == 2
    for row in told:
        number = int(row["file"][:9])
        assert row["prompt"] == f"thing {number}"
        assert (row["seed"], row["seed_number"]) == (7, number)
        picture = np.asarray(Image.open(BytesIO(row["run"])))
        source = np.asarray(Image.open(sets["run"] / "images" / row["file"]))
        # Nearest neighbour by an integer, behind a frame of 2.
        np.testing.assert_array_equal(picture[6:-2:8, 6:-2:8][source[..., 3] > 0],
                                      source[..., :3][source[..., 3] > 0])  # fmt: skip


def test_without_a_base_nothing_is_made_up(tmp_path, drawn_run):
    run = drawn_run(tmp_path / "run")
    report = evaluate(EvaluateConfig(run=run, num_cases=0), device="cpu")
    tables = report_tables(report, pictures={"run": run})
    assert tables.keys() == {"metrics", "unavailable"}
    assert "base" not in tables["metrics"].columns
    assert all(row["difference"] is None for row in rows(tables["metrics"]))


def test_every_distance_is_in_a_bar():
    counts = [0, 1, 0, 0, 0, 0, 0, 3]
    report = Report(sets={}, metrics=(), memorisation={"held out": {"histogram": counts}})
    (table,) = report_tables(report, pictures={}).values()
    label, height = table.bars
    told = rows(table)
    assert [row["num_images"] for row in told] == counts
    assert [row[height] for row in told] == [0, 0.25, 0, 0, 0, 0, 0, 0.75]
    assert len({row[label] for row in told}) == len(counts)
