"""One worker's place in a queued run: a process of its own, on the run's frozen code.

python -m jobs.runtime.place RUN PLACE PLACES
"""

import sys

from jobs.runtime.record import FINISHED
from jobs.runtime.watch import EXIT_STOPPED
from jobs.runtime.worker import Worker

if __name__ == "__main__":
    path, place, places = sys.argv[1:]
    status = Worker()(path, int(place), int(places))
    sys.exit(0 if status == FINISHED else EXIT_STOPPED)
