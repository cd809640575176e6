"""Exporters that a real Prometheus can scrape: DCGM under either family of names, a node, Slurm."""

import contextlib
import math
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from bench.telemetry.fields import BY_DCGM_NAME
from deploy.observe import rules

LEVELS = {
    "gpu_util_percent": 80.0, "engine_active_percent": 75.0, "sm_active_percent": 60.0,
    "tensor_active_percent": 40.0, "dram_active_percent": 50.0, "vram_used_mib": 120000.0,
    "vram_free_mib": 60000.0, "vram_reserved_mib": 3000.0, "temperature_c": 58.0,
    "memory_temperature_c": 66.0, "power_w": 780.0, "nvlink_effective_ber": 1e-15,
}  # fmt: skip
GROWS = {"energy_j": 780.0, "nvlink_tx_bytes": 3e11, "nvlink_rx_bytes": 2.8e11,
         "throttled_power_s": 0.2}  # fmt: skip
"""In our units; what grows, by that much a page. Made up: no GPU showed these numbers."""
BLANK = 9223372036854775794
NODE = """\
node_filesystem_avail_bytes{mountpoint="/raid",fstype="ext4"} 6e12
node_filesystem_size_bytes{mountpoint="/raid",fstype="ext4"} 3e13
"""
SLURM = "slurm_jobs_pending 3\n"


def dcgm_page(count: int, *, renamed: bool, num_gpus: int = 2) -> str:
    """As dcgm-exporter answers to our own list: levels go up and down, counters grow."""
    host = 'hostname="dgx-new"' if renamed else 'Hostname="dgx-old"'
    lines = []
    for row in rules.counters(renamed=renamed).splitlines()[1:]:
        name = row.split(",")[0]
        for gpu in range(num_gpus):
            labels = f'gpu="{gpu}",UUID="GPU-{gpu}",device="nvidia{gpu}",hpc_job="7",{host}'
            value = _value(name, count, gpu + renamed / 2)
            if name.startswith("DCGM_EXP_XID"):
                bad = renamed and gpu == 1
                labels, value = (labels + ',xid="79"', 1.0) if bad else (labels, 0.0)
            if name.startswith("DCGM_FI_DEV_MEMORY_TEMP") and gpu == 1:
                value = BLANK
            lines.append(f"{name}{{{labels}}} {value}")
    return "\n".join(lines) + "\n"


def job_page(count: int, now_s: float) -> str:
    """Our own metrics and those of a node, as node_exporter's textfile collector shows them."""
    run, trained = 'run="tiles32/7",kind="generate"', 'run="style/8",kind="train"'
    buckets = "".join(
        f'dgx_pixels_image_seconds_bucket{{{run},le="{bound}"}} {share * count}\n'
        for bound, share in (("0.1", 4), ("1", 9), ("+Inf", 10))
    )
    both = {
        "restarts_total": 1,
        "progress_timestamp_seconds": now_s - count % 9,
        "running": 1,
        "failed": 0,
    }
    made = {
        "images_total": 10 * count,
        "images_per_second": 8.5 * _wave(count, 0),
        "images_waiting": max(0, 4000 - 10 * count),
    }
    learnt = {
        "loss": 0.05 + 0.3 / (1 + count / 30),
        "validation_loss": 0.06 + 0.3 / (1 + count / 30),
        "images_per_second": 130 * _wave(count, 1),
        "checkpoints_total": count // 60,
    }
    ours = "".join(
        f"dgx_pixels_{name}{{{labels}}} {value}\n"
        for labels, values in ((run, {**made, **both}), (trained, {**learnt, **both}))
        for name, value in values.items()
    )
    queued = {"images": max(0, 4000 - 10 * count), "workers": 2, "wanted": 4, "given_up": 0}
    queue = "".join(f'dgx_pixels_queue_{name}{{run="demo/8"}} {n}\n' for name, n in queued.items())
    nccl = 'dgx_pixels_nccl_bus_bytes_per_second{collective="all_reduce"} 8e11\n'
    return ours + queue + buckets + nccl + "node_textfile_scrape_error 0\n" + NODE


@contextlib.contextmanager
def serving(page: Callable[[int], str]) -> Iterator[str]:
    """Answer any path with ``page(n)`` for the n-th request; give the address."""
    lock, asked = threading.Lock(), [0]

    def counted(_: str) -> str:
        with lock:
            asked[0] += 1
            return page(asked[0])

    with answering(counted) as address:
        yield address


@contextlib.contextmanager
def answering(page: Callable[[str], str]) -> Iterator[str]:
    """Answer each path with ``page(path)``; give the address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = page(self.path).encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _value(name: str, count: int, phase: float) -> float:
    field = BY_DCGM_NAME.get(name)
    if field is None:
        return 0.0
    if field.name == "power_limit_w":
        return 1000.0
    level = LEVELS.get(field.name, 0.0) * _wave(count, phase) + GROWS.get(field.name, 0.0) * count
    return level / field.scale


def _wave(count: int, phase: float) -> float:
    return 1 + 0.15 * math.sin(count / 25 + phase)
