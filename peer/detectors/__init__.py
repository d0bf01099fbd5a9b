"""Who notices that a step was wrong: each a small value that looks at steps one by one (docs/guide/detectors.md).

None imports a library of an extra before it is trained or begins to watch.
"""

from peer.detectors.agreement import Agreement, SemanticEntropy, semantic_entropy
from peer.detectors.calibration import Calibrated, Calibration, expected_calibration_error, reliability
from peer.detectors.charts import Cusum, Ewma, Shewhart
from peer.detectors.drift import Adwin, PageHinkley
from peer.detectors.files import DetectorFileInvalid, load, save
from peer.detectors.outliers import Outliers
from peer.detectors.port import Detector, Trainable, Watch
from peer.detectors.rules import Bounds, Check, Confidence, Failures, Threshold
from peer.detectors.seen import Finding, Seen
from peer.detectors.suspicion import LookAgain, Suspicion, Verdict
from peer.detectors.trees import HalfSpaceTrees
from peer.detectors.vae import Vae

__all__ = [
    "Adwin",
    "Agreement",
    "Bounds",
    "Calibrated",
    "Calibration",
    "Check",
    "Confidence",
    "Cusum",
    "Detector",
    "DetectorFileInvalid",
    "Ewma",
    "Failures",
    "Finding",
    "HalfSpaceTrees",
    "LookAgain",
    "Outliers",
    "PageHinkley",
    "Seen",
    "SemanticEntropy",
    "Shewhart",
    "Suspicion",
    "Threshold",
    "Trainable",
    "Vae",
    "Verdict",
    "Watch",
    "expected_calibration_error",
    "load",
    "reliability",
    "save",
    "semantic_entropy",
]
