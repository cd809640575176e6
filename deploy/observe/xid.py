"""XID errors by what is to be done about them.

Classes: the health suite of AWS' training reference, aligned to NVIDIA's XID catalogue (r590),
https://docs.nvidia.com/deploy/xid-errors/analyzing-xid-catalog.html. ``DCGM_EXP_XID_ERRORS_COUNT``
is dcgm-exporter's own gauge: records of a code (label ``xid``) in its window, and one row of 0
without a code where there were none (``internal/pkg/collector/{exp,xid_}collector.go``). The gauge
of the last XID holds its number for ever, so only a change of it means something.
"""

from deploy.observe.signals import Alert, Signal

COUNT = "DCGM_EXP_XID_ERRORS_COUNT"
KNOWN_HARMLESS = (43, 63, 92, 121)

_CLASSES: tuple[tuple[str, str, tuple[int, ...], str], ...] = (
    ("Isolate", "critical", (54,), "Drain the node (scontrol update state=drain) and check power."),
    ("Reboot", "critical", (79, 151, 168),
     "Drain the node and reboot it. If the code is back, open a case with NVIDIA."),
    ("Reset", "critical", (48, 64, 74, 95, 109, 110, 119, 120, 136, 140, 143, 155, 156, 158),
     "Drain the node, then nvidia-smi --gpu-reset; the job resumes from its checkpoint elsewhere."),
    ("Nvlink", "critical", (144, 145, 146, 147, 148, 149, 150),
     "Its line in dmesg says whether a reset is due. Run jobs.nccl before resuming."),
    ("Recovery", "critical", (154,),
     "The line in dmesg has the action: GPU reset, node reboot or drain P2P. Do that."),
    ("Application", "warning", (13, 31, 94, 126),
     "Look at the job first. The same code under other jobs on this GPU means the GPU."),
)  # fmt: skip

ACTIONS = {code: action for _, _, codes, action in _CLASSES for code in codes}


def _matcher(codes: tuple[int, ...]) -> str:
    return "|".join(str(code) for code in codes)


def _by_code(selector: str) -> str:
    return f"max by (hostname, gpu, xid) (max_over_time({COUNT}{{{selector}}}[5m])) > 0"


_ALL = _matcher((0, *KNOWN_HARMLESS, *ACTIONS))

XID_SIGNALS = (
    Signal(
        name=COUNT,
        about="XID errors in dcgm-exporter's window, by code",
        dashboard="thermals",
        panel="XID errors by code",
        query=f"sum by (hostname, gpu, xid) ({COUNT})",
        legend="{{hostname}} {{gpu}} XID {{xid}}",
        alerts=(
            *(
                Alert(
                    name=f"GpuXid{name}",
                    expr=_by_code(f'xid=~"{_matcher(codes)}"'),
                    hold="0m",
                    severity=severity,
                    summary="XID {{ $labels.xid }} on {{ $labels.hostname }} GPU {{ $labels.gpu }}",
                    action=action,
                )
                for name, severity, codes, action in _CLASSES
            ),
            Alert(
                name="GpuXidUnknown",
                expr=_by_code(f'xid!="",xid!~"{_ALL}"'),
                hold="0m",
                summary="XID {{ $labels.xid }} on {{ $labels.hostname }} GPU {{ $labels.gpu }}",
                action="Not in our table: look it up in NVIDIA's XID catalogue.",
            ),
        ),
    ),
    Signal(
        name="xid",
        about="number of the last XID",
        dashboard="thermals",
        panel="Last XID",
        query="gpu:xid",
        legend="{{hostname}} {{gpu}}",
        alerts=(
            Alert(
                name="GpuXidUncounted",
                # Where the exporter's list does not count by code. Back to 0 is a reset, no XID.
                expr=f"changes(gpu:xid[10m]) > 0 and gpu:xid > 0 unless on (hostname, gpu) {COUNT}",
                hold="0m",
                summary="A new XID on {{ $labels.hostname }} GPU {{ $labels.gpu }}",
                action="Read its number in dmesg; enable DCGM_EXP_XID_ERRORS_COUNT in the list.",
            ),
        ),
    ),
)
