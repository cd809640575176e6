"""DCGM: the stream of ``dcgmi dmon``, by field id, and pages of dcgm-exporter, by either name.

Not measured on GPU: written to NVIDIA's documents and to outputs others recorded.
"""

import re
from collections.abc import Collection

from bench.telemetry.fields import BY_DCGM_NAME, BY_ID, BY_TAG, FIELDS, Field, clean
from bench.telemetry.stream import Rows, ShouldStop, SourceError, ToolStream, never, run_tool

LISTED = re.compile(r"^\S+\s+(\S+)\s+(\d+)\s*$")
ROW = re.compile(r"^GPU\s+(\d+)\s+(.+)$")
UUID_LINE = re.compile(r"Device UUID:\s*(GPU-[0-9a-fA-F-]+)")
GPU_LINE = re.compile(r"^\|\s*(\d+)\s*\|")
SAMPLE = re.compile(r"^(DCGM_\w+)\{([^}]*)\}\s+(\S+)")
LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
MIN_INTERVAL_MS = 100
"""``dcgmi dmon`` takes no shorter one."""
MAX_INTERVAL_S = 1.0
"""Its newest row is what a sample reads: so much may be missing at either end of a job."""


class Dcgm:
    """GPUs as DCGM's own daemon sees them.

    Args:
        interval_s: How often to sample.
        uuids: GPUs to sample; None: all of the node.
        should_stop: Whether to wait for it no longer.

    Raises:
        SourceError: DCGM does not answer.
    """

    name = "dcgm"

    def __init__(
        self,
        *,
        interval_s: float,
        uuids: Collection[str] | None = None,
        should_stop: ShouldStop = never,
    ) -> None:
        self._should_stop = should_stop
        tags = read_field_list(run_tool(["dcgmi", "dmon", "-l"]))
        by_gpu = read_discovery(run_tool(["dcgmi", "discovery", "-l"]))
        self._uuids = {
            number: uuid for number, uuid in by_gpu.items() if uuids is None or uuid in uuids
        }
        if not self._uuids:
            raise SourceError("dcgmi: shows none of this job's GPUs")
        known = [field for field in FIELDS if field.dcgm_id in tags.values()]
        self._stream = self._open(known, tags, interval_s)

    def read(self) -> Rows:
        """Return the newest values by UUID."""
        rows = self._stream.read()
        return {self._uuids[gpu]: rows[gpu] for gpu in rows if gpu in self._uuids}

    def close(self) -> None:
        """End the tool."""
        self._stream.close()

    def _open(self, known: list[Field], tags: dict[str, int], interval_s: float) -> ToolStream:
        plain = [field for field in known if not field.profiling]
        try:
            return self._start(known, tags, interval_s)
        except SourceError:
            # One field that may not be watched takes the whole list with it.
            return self._start(plain, tags, interval_s)

    def _start(self, fields: list[Field], tags: dict[str, int], interval_s: float) -> ToolStream:
        ids = ",".join(str(field.dcgm_id) for field in fields)
        interval_s = min(interval_s, MAX_INTERVAL_S)
        delay_ms = max(MIN_INTERVAL_MS, round(1000 * interval_s))
        gpus = ",".join(sorted(self._uuids, key=int))
        command = ["dcgmi", "dmon", "-e", ids, "-d", str(delay_ms), "-i", gpus]
        return ToolStream(
            command,
            DmonParser(tags).line,
            interval_s=interval_s,
            should_stop=self._should_stop,
        )


class DmonParser:
    """Reads ``dcgmi dmon`` line by line; columns are known by the header, never by position.

    Args:
        tags: From a column's short name to its field id, as this DCGM lists them.
    """

    def __init__(self, tags: dict[str, int] | None = None) -> None:
        self._tags = tags or {}
        self._columns: list[Field | None] = []

    def line(self, text: str) -> tuple[str, dict[str, float]] | None:
        """Return a GPU's number and values; None for headers, half lines and other entities."""
        if text.startswith("#"):
            self._columns = [self._field(tag) for tag in text.lstrip("# ").split()[1:]]
            return None
        found = ROW.match(text)
        if found is None or not text.endswith("\n"):
            return None
        cells = found.group(2).split()
        if len(cells) != len(self._columns):
            return None
        values: dict[str, float] = {}
        for field, cell in zip(self._columns, cells, strict=True):
            value = None if field is None else clean(field, cell)
            if field is not None and value is not None:
                values.setdefault(field.name, value)
        return found.group(1), values

    def _field(self, tag: str) -> Field | None:
        number = self._tags.get(tag)
        return BY_ID.get(number) if number is not None else BY_TAG.get(tag)


def read_field_list(text: str) -> dict[str, int]:
    """Read ``dcgmi dmon -l``: from a short name to its id."""
    found = (LISTED.match(line) for line in text.splitlines())
    return {match.group(1): int(match.group(2)) for match in found if match}


def read_discovery(text: str) -> dict[str, str]:
    """Read ``dcgmi discovery -l``: from a GPU's number to its UUID."""
    uuids: dict[str, str] = {}
    number = ""
    for line in text.splitlines():
        gpu = GPU_LINE.match(line)
        number = gpu.group(1) if gpu else number
        uuid = UUID_LINE.search(line)
        if uuid and number:
            uuids[number] = uuid.group(1)
    return uuids


def read_exporter(text: str) -> dict[str, Rows]:
    """Read a page of dcgm-exporter: from a host to its GPUs' values.

    Names of DCGM to 4.5 and from 4.6 are the same field; ``Hostname`` became ``hostname`` and
    ``UUID`` on some rows ``gpu_uuid``. Rows of a MIG instance are left out: they are not the GPU's.
    """
    hosts: dict[str, Rows] = {}
    for line in text.splitlines():
        found = SAMPLE.match(line)
        field = BY_DCGM_NAME.get(found.group(1)) if found else None
        if found is None or field is None:
            continue
        labels = {key.lower(): value for key, value in LABEL.findall(found.group(2))}
        gpu = labels.get("uuid") or labels.get("gpu_uuid") or labels.get("gpu")
        value = clean(field, found.group(3))
        if gpu is None or value is None or "gpu_i_id" in labels:
            continue
        rows = hosts.setdefault(labels.get("hostname", ""), {})
        rows.setdefault(gpu, {}).setdefault(field.name, value)
    return hosts
