"""The rows of the table that are not DCGM's: our jobs, nodes, exporters, Slurm.

``dgx_pixels_*`` are what ``jobs.runtime.textfile`` writes on a job's node for node_exporter's
textfile collector, with labels ``run`` and ``kind`` (``train``, ``generate``, ...), and what
``jobs.queue serve`` shows of runs that wait for workers.
"""

from deploy.observe.signals import Alert, Signal

STUCK_S = 900
FEW_PERCENT = 10

_RUN = "{{kind}} {{run}}"
_OF = "{{ $labels.kind }} {{ $labels.run }}"
_SECONDS = "dgx_pixels_image_seconds_bucket"
_TELLS = 'dgx_pixels_running{kind=~"train|generate"}'
"""Jobs that tell of progress while they run; others are silent from beginning to end."""
_MOUNT = 'fstype!~"tmpfs|overlay|squashfs|ramfs"'


def _row(name: str, about: str, where: tuple[str, str], query: str, **more: object) -> Signal:
    dashboard, panel = where
    return Signal(
        name=name,
        about=about,
        dashboard=dashboard,
        panel=panel,
        query=query,
        **{"legend": _RUN, **more},  # type: ignore[arg-type]
    )


JOB_SIGNALS: tuple[Signal, ...] = (
    _row("dgx_pixels_images_total", "images made or trained on; counter",
         ("generation", "Images made"),
         'sum by (run, kind) (dgx_pixels_images_total{kind="generate"})'),
    _row("dgx_pixels_images_per_second", "of the whole run; gauge",
         ("generation", "Images a second"),
         'sum by (run, kind) (dgx_pixels_images_per_second{kind="generate"})'),
    _row("dgx_pixels_image_seconds", "time an image took; histogram",
         ("generation", "Time an image, 95th percentile"), unit="s",
         query=f"histogram_quantile(0.95, sum by (run, le) (rate({_SECONDS}[5m])))",
         legend="{{run}}"),
    _row("dgx_pixels_images_waiting", "of a run that goes on: asked for and not made; gauge",
         ("generation", "Images left"), "sum by (run) (dgx_pixels_images_waiting)",
         legend="{{run}}"),
    _row("dgx_pixels_queue_images", "of a run that waits for workers: not made yet; gauge",
         ("generation", "Images in the queue"), "sum by (run) (dgx_pixels_queue_images)",
         legend="{{run}}"),
    _row("dgx_pixels_queue_workers", "workers that a queued run has; gauge",
         ("generation", "Workers of queued runs"), "sum by (run) (dgx_pixels_queue_workers)",
         legend="{{run}}"),
    _row("dgx_pixels_queue_wanted", "workers that a queued run could use; gauge, for KEDA",
         ("generation", "Workers wanted"), "sum by (run) (dgx_pixels_queue_wanted)",
         legend="{{run}}"),
    _row("dgx_pixels_queue_given_up", "1 where a queued run failed three times; gauge",
         ("generation", "Queued runs given up"), "sum by (run) (dgx_pixels_queue_given_up)",
         legend="{{run}}",
         alerts=(Alert(name="QueuedRunGivenUp", hold="0m",
                       expr="dgx_pixels_queue_given_up == 1",
                       summary="Workers leave {{ $labels.run }} alone: it failed three times",
                       action="jobs.queue list has the reason; mend it, then jobs.resubmit."),)),
    _row("dgx_pixels_loss", "of the last row of figures; gauge", ("training", "Loss"),
         'dgx_pixels_loss{kind="train"}'),
    _row("dgx_pixels_validation_loss", "on held-out images; gauge",
         ("training", "Loss on held-out images"), 'dgx_pixels_validation_loss{kind="train"}'),
    _row("dgx_pixels_images_trained", "rate of training", ("training", "Images a second"),
         'dgx_pixels_images_per_second{kind="train"}'),
    _row("dgx_pixels_checkpoints_total", "checkpoints written; counter",
         ("training", "Checkpoints"), 'dgx_pixels_checkpoints_total{kind="train"}'),
    _row("dgx_pixels_restarts_total", "attempts before this one; counter", ("training", "Restarts"),
         "dgx_pixels_restarts_total",
         alerts=(Alert(name="JobRestartsOften", hold="0m",
                       expr="increase(dgx_pixels_restarts_total[6h]) >= 3",
                       summary=f"{_OF} was restarted three times in six hours",
                       action="Read why in its run.json: preemption, time limit or nodes."),)),
    _row("dgx_pixels_progress_timestamp_seconds", "when figures last came; gauge",
         ("training", "Time since progress"), unit="s",
         query="time() - dgx_pixels_progress_timestamp_seconds "
               f"and on (run, kind, hostname) {_TELLS} == 1",
         alerts=(Alert(name="JobStuck", severity="critical",
                       expr=f"time() - dgx_pixels_progress_timestamp_seconds > {STUCK_S} "
                            f"and on (run, kind, hostname) {_TELLS} == 1",
                       summary=f"{_OF} runs without progress",
                       action="Gone from squeue? It died without a word: its log, sacct. "
                              "Else py-spy dump on its ranks, then scontrol requeue: it resumes."),
                 )),
    _row("dgx_pixels_running", "1 while the job runs, 0 from its end; gauge",
         ("training", "Jobs that run"), "sum by (kind) (dgx_pixels_running)", legend="{{kind}}"),
    _row("dgx_pixels_nccl_bus_bytes_per_second", "bus bandwidth of the last jobs.nccl; gauge",
         ("nvlink", "NCCL bus bandwidth"), "dgx_pixels_nccl_bus_bytes_per_second", unit="Bps",
         legend="{{hostname}} {{collective}}"),
    _row("dgx_pixels_failed", "1 where a job ended with an error; gauge",
         ("training", "Jobs that failed"), "sum by (kind) (dgx_pixels_failed)", legend="{{kind}}",
         alerts=(Alert(name="JobFailed", hold="0m", expr="dgx_pixels_failed == 1",
                       summary=f"{_OF} ended with an error",
                       action="Its run.json has the reason; jobs.resubmit goes on with it."),)),
    _row("node_textfile_scrape_error", "1 where a text file cannot be read; gauge",
         ("training", "Text files that cannot be read"), "node_textfile_scrape_error",
         legend="{{hostname}}",
         alerts=(Alert(name="JobMetricsUnreadable", expr="node_textfile_scrape_error == 1",
                       summary="node_exporter cannot read a text file on {{ $labels.hostname }}",
                       action="Its log names the file; remove it: jobs write theirs again."),)),
    _row("node_filesystem_avail_bytes", "free space", ("vram", "Disk space free"), unit="percent",
         query=f"100 * node_filesystem_avail_bytes{{{_MOUNT}}} "
               f"/ node_filesystem_size_bytes{{{_MOUNT}}}",
         legend="{{hostname}} {{mountpoint}}",
         alerts=(
             Alert(name="DiskNearlyFull",
                   expr=f"100 * node_filesystem_avail_bytes{{{_MOUNT}}} "
                        f"/ node_filesystem_size_bytes{{{_MOUNT}}} < {FEW_PERCENT}",
                   summary="{{ $labels.mountpoint }} of {{ $labels.hostname }} is nearly full",
                   action="Remove old checkpoints and runs; a full disk costs telemetry first."),
             Alert(name="DiskFullInFourHours", severity="critical", hold="30m",
                   expr=f"predict_linear(node_filesystem_avail_bytes{{{_MOUNT}}}[1h], 14400) < 0",
                   summary="{{ $labels.mountpoint }} of {{ $labels.hostname }} fills up",
                   action="Find what writes (du, lsof); stop it or move it before jobs fail."),
         )),
    _row("up", "whether a target answers", ("utilisation", "Targets that answer"),
         "min by (job, instance) (up)", legend="{{job}} {{instance}}",
         alerts=(
             Alert(name="ExporterDown", severity="critical",
                   expr='up{job=~"dcgm|node|node-exporter|queue"} == 0',
                   summary="{{ $labels.job }} exporter {{ $labels.instance }} does not answer",
                   action="Nothing is watched there: restart the exporter, look at the node."),
             Alert(name="ExporterMissing", severity="critical", expr='absent(up{job="dcgm"})',
                   summary="No DCGM exporter is scraped at all",
                   action="Check the targets of Prometheus and the selector of the monitor."),
         )),
    _row("slurm_jobs_pending", "jobs that wait (Slurm from 25.11)", ("generation", "Jobs waiting"),
         "sum(slurm_jobs_pending)", legend="waiting"),
    _row("gpus_allocated", "GPUs with a job", ("cost", "GPUs with a job"), legend="GPUs",
         query='count(max by (hostname, gpu) (gpu:power_w{hpc_job!=""})) or vector(0)'),
    _row("cost_per_hour", "cost at the prices given above", ("cost", "Cost an hour"),
         legend="cost",
         query='(count(max by (hostname, gpu) (gpu:power_w{hpc_job!=""})) or vector(0)) '
               "* $price_per_gpu_hour + sum(max by (hostname, gpu) (gpu:power_w)) "
               "/ 1000 * $price_per_kwh"),
    _row("energy_per_image", "energy of all GPUs with a job by images made",
         ("cost", "Joules an image"), unit="joule", legend="joules",
         query='sum(max by (hostname, gpu) (rate(gpu:energy_j{hpc_job!=""}[5m]))) '
               "/ sum(rate(dgx_pixels_images_total[5m]))"),
)  # fmt: skip
