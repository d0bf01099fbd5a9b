"""Ray, imported after its settings, which it reads from the environment when it is imported."""

import os

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")

import ray
import ray._private.worker as printer
from ray import cloudpickle
from ray.exceptions import GetTimeoutError, RayActorError, RayTaskError

__all__ = ["GetTimeoutError", "RayActorError", "RayTaskError", "cloudpickle", "printer", "ray"]
