"""The tasks of the platform's job for Terraform, which can't ask Python: run this where the pipeline has changed.

``python tools/job_tasks.py`` writes ``terraform/modules/tasks/tasks.json``.
"""

import json
from pathlib import Path

from gnnscale.pipeline import job_plan

TASKS = Path(__file__).resolve().parents[1] / "terraform/modules/tasks/tasks.json"

if __name__ == "__main__":
    TASKS.write_text(json.dumps(job_plan(), indent=2) + "\n")
