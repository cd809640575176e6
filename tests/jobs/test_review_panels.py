"""Which panels a project has on W&B follows from its runs."""

import json
import warnings

from jobs.records.find import read_runs
from tests.jobs.reviewed import make_bench, make_report, make_run

with warnings.catch_warnings():
    # wandb-workspaces (0.4.13) still checks in the way of pydantic 1.
    warnings.simplefilter("ignore", DeprecationWarning)
    from jobs.reviews.panels import MAX_BARS, bench_panels, evaluation_panels, facts_of, nccl_panels


def facts(root):
    return facts_of(read_runs([root])[0])


def told(panels):
    return [panel._to_model().config for panel in panels]


def test_an_evaluation_has_its_tables_and_what_it_measured(tmp_path):
    folder = make_run(tmp_path, "evaluate/tiles/e")
    make_report(folder)
    report = json.loads((folder / "report.json").read_text())
    lost = report["metrics"][0] | {"info": {"name": "lpips"}, "by": {"run": None}}
    more = {"metrics": [*report["metrics"], lost], "memorisation": {"held out": {}}}
    (folder / "report.json").write_text(json.dumps(report | more))
    found = facts(tmp_path)
    assert (found.metrics, found.tables) == (["ssim"], ["metrics"])
    # As jobs.evaluate logs it and the client names a bar chart's table.
    assert found.memorised == ["eval/memorisation/held_out"]
    (chart,) = [each for each in told(evaluation_panels(found)) if hasattr(each, "user_query")]
    assert "eval/memorisation/held_out/bars_table" in chart.model_dump_json()


def test_a_bench_has_a_panel_of_each_unit_and_no_more_bars_than_can_be_told_apart(tmp_path):
    make_bench(make_run(tmp_path, "bench/throughput/a"), 1.0)
    folder = make_run(tmp_path, "bench/throughput/b", day=2)
    make_bench(folder, 2.0, hardware="2 cores", unit="ms")
    bench = json.loads((folder / "bench.json").read_text())
    rows = [bench["rows"][0] | {"name": f"row{n}"} for n in range(2 * MAX_BARS)]
    (folder / "bench.json").write_text(json.dumps(bench | {"rows": rows}))
    panels = told(bench_panels(facts(tmp_path).benches))
    shown = {each.chart_title: each.metrics for each in panels}
    assert shown["throughput (img/s)"] == ["bench/base.rate"]
    assert shown["throughput (ms)"] == [f"bench/row{n}" for n in range(MAX_BARS)]


def test_sweeps_have_panels_where_there_are_any(tmp_path):
    (make_run(tmp_path, "nccl/cpu/n") / "sweep-8.png").write_bytes(b"")
    pictures = [each for each in told(nccl_panels(facts(tmp_path))) if hasattr(each, "media_keys")]
    assert [each.media_keys for each in pictures] == [["nccl/sweep-8"]]
    (tmp_path / "nccl/cpu/n/sweep-8.png").unlink()
    assert nccl_panels(facts(tmp_path)) == []


def test_runs_with_broken_records_count_as_runs(tmp_path):
    (make_run(tmp_path, "bench/loader/a") / "bench.json").write_text("[]")
    found = facts(tmp_path)
    assert (found.num_runs, found.benches, found.statuses) == (1, [], {"finished": 1})
