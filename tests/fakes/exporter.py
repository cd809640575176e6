"""Exporters that a real Prometheus can scrape: DCGM under either family of names, a node, Slurm."""

import contextlib
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from deploy.observe import rules

LEVELS = {"ROW_REMAP_FAIL": 0.0, "ROW_REMAP_PEND": 0.0, "XID": 0.0, "BER": 0.0, "PROF": 0.5}
GROWS = ("ENERGY", "TX_BYTES", "RX_BYTES")
BLANK = 9223372036854775794
NODE = """\
node_filesystem_avail_bytes{mountpoint="/raid",fstype="ext4"} 6e12
node_filesystem_size_bytes{mountpoint="/raid",fstype="ext4"} 3e13
"""
SLURM = "slurm_jobs_pending 3\n"


def dcgm_page(count: int, *, renamed: bool) -> str:
    """As dcgm-exporter answers to our own list: two GPUs, counters that grow with ``count``."""
    host = 'hostname="dgx-new"' if renamed else 'Hostname="dgx-old"'
    lines = []
    for row in rules.counters(renamed=renamed).splitlines()[1:]:
        name = row.split(",")[0]
        for gpu in range(2):
            labels = f'gpu="{gpu}",UUID="GPU-{gpu}",device="nvidia{gpu}",hpc_job="7",{host}'
            value = _value(name, count)
            if name.startswith("DCGM_EXP_XID"):
                bad = renamed and gpu == 1
                labels, value = (labels + ',xid="79"', 1.0) if bad else (labels, 0.0)
            if name.startswith("DCGM_FI_DEV_MEMORY_TEMP") and gpu == 1:
                value = BLANK
            lines.append(f"{name}{{{labels}}} {value}")
    return "\n".join(lines) + "\n"


def job_page(count: int, now_s: float) -> str:
    """Our own metrics and those of a node, as node_exporter's textfile collector shows them."""
    run = 'run="tiles32/7",kind="generate"'
    buckets = "".join(
        f'dgx_pixels_image_seconds_bucket{{{run},le="{bound}"}} {share * count}\n'
        for bound, share in (("0.1", 4), ("1", 9), ("+Inf", 10))
    )
    values = {
        "images_total": 10 * count,
        "images_per_second": 8.5,
        "images_waiting": 400,
        "loss": 0.07,
        "validation_loss": 0.08,
        "checkpoints_total": 2,
        "restarts_total": 1,
        "progress_timestamp_seconds": now_s,
        "running": 1,
        "failed": 0,
    }
    runs = (run, run.replace("generate", "train"))
    ours = "".join(
        f"dgx_pixels_{name}{{{labels}}} {value}\n"
        for name, value in values.items() for labels in runs
    )  # fmt: skip
    queued = {"images": 900, "workers": 2, "wanted": 4, "given_up": 0}
    queue = "".join(f'dgx_pixels_queue_{name}{{run="demo/8"}} {n}\n' for name, n in queued.items())
    nccl = 'dgx_pixels_nccl_bus_bytes_per_second{collective="all_reduce"} 8e11\n'
    return ours + queue + buckets + nccl + "node_textfile_scrape_error 0\n" + NODE


@contextlib.contextmanager
def serving(page: Callable[[int], str]) -> Iterator[str]:
    """Answer any path with ``page(n)`` for the n-th request; give the address."""
    lock, asked = threading.Lock(), [0]

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            with lock:
                asked[0] += 1
                body = page(asked[0]).encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _value(name: str, count: int) -> float:
    if any(part in name for part in GROWS):
        return 1e5 * count
    if name.endswith(("_TOTAL", "VIOLATION", "_NS")) or "ERROR" in name or "REMAPPED" in name:
        return 0.0
    return next((value for part, value in LEVELS.items() if part in name), 50.0)
